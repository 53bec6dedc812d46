#include "core/identity/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
certificate_free(struct adit_certificate *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_names; i++)
		free(c->names[i]);
	free(c->names);
	free(c);
}

static struct adit_certificate *
certificate_copy(const struct adit_certificate *from)
{
	struct adit_certificate *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	*c = *from;
	c->n_names = 0;
	c->names = calloc(from->n_names + 1, sizeof(*c->names));
	for (; c->names && c->n_names < from->n_names; c->n_names++) {
		c->names[c->n_names] = strdup(from->names[c->n_names]);
		if (!c->names[c->n_names])
			break;
	}
	if (c->names && c->n_names == from->n_names)
		return c;
	certificate_free(c);
	return NULL;
}

struct identity *
identity_new(const struct auth_found *found, const struct adit_certificate *certificate)
{
	bool verified = certificate && certificate->verified;
	struct identity *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	if (found) {
		i->user = strdup(found->user);
		memcpy(i->proof, found->proof, AUTH_PROOF);
	}
	if (verified)
		i->certificate = certificate_copy(certificate);
	if ((i->user || !found) && (i->certificate || !verified))
		return i;
	identity_free(i);
	return NULL;
}

void
identity_free(struct identity *i)
{
	if (!i)
		return;
	certificate_free(i->certificate);
	free(i->user);
	free(i);
}

const char *
identity_text(const struct identity *i, char text[IDENTITY_TEXT])
{
	const struct adit_certificate *c = i ? i->certificate : NULL;
	const char *user = i ? i->user : NULL;

	snprintf(text, IDENTITY_TEXT, "%s%s%s%s%s", user ? "user " : c ? "" : "nobody",
		 user ? user : "", user && c ? ", " : "", c ? "certificate " : "",
		 !c ? "" : *c->common_name ? c->common_name : c->fingerprint);
	return text;
}
