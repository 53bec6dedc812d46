/* Grants and the users that they are for: who is meant, and what is given. */
#include <string.h>

#include "core/config/schema_checks.h"
#include "core/wire/fingerprint.h"
#include "core/wire/hostname.h"

typedef bool text_ok(const char *text);

static bool
tunnel_ok(const char *text)
{
	struct adit_uuid id;

	return strcmp(text, "*") == 0 || adit_uuid_parse(text, false, &id) == 0;
}

static bool
host_ok(const char *text)
{
	char pattern[HOSTNAME_PATTERN_SIZE];

	return strcmp(text, "*") == 0 || hostname_pattern(text, pattern) == 0;
}

static bool
fingerprint_ok(const char *text)
{
	char fingerprint[FINGERPRINT_TEXT];

	return fingerprint_normalise(text, fingerprint) == 0;
}

static void
check_texts(struct walk *w, const struct adit_tree *value, const struct tree_path *path,
	    text_ok *ok, const char *wanted)
{
	bool list = tree_type(value) == TREE_LIST;

	for (size_t i = 0; i < (list ? tree_len(value) : 1); i++) {
		const struct adit_tree *item = list ? tree_item(value, i) : value;
		struct tree_path below = { .up = path, .index = i };

		if (tree_type(item) == TREE_SCALAR && !tree_is_null(item) && !ok(tree_text(item)))
			schema_error(w, item, list ? &below : path, NULL,
				     "expected %s, not \"%.100s\"", wanted, tree_text(item));
	}
}

void
check_grant_tunnels(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	check_texts(w, value, path, tunnel_ok, "a UUID, or * for all");
}

void
check_grant_hosts(struct walk *w, const struct adit_tree *value, const struct tree_path *path)
{
	check_texts(w, value, path, host_ok, "a host, .host, *.host, or * for all");
}

void
check_grant_fingerprints(struct walk *w, const struct adit_tree *value,
			 const struct tree_path *path)
{
	check_texts(w, value, path, fingerprint_ok,
		    "the SHA-256 of a certificate in 64 hexadecimal digits");
}

void
check_grant(struct walk *w, void *base, const struct adit_tree *node, const struct tree_path *path)
{
	const struct grant_conf *g = base;

	if (!g->users.n && !g->common_names.n && !g->alternative_names.n && !g->fingerprints.n)
		schema_error(w, node, path, NULL, "nobody is named: users, commonNames, "
			     "alternativeNames or fingerprints are missing");
}

void
check_user(struct walk *w, void *base, const struct adit_tree *node, const struct tree_path *path)
{
	const struct auth_conf *a = base;

	if (a->token && a->password)
		schema_error(w, node, path, NULL, "a user has a password or a token, not both");
	if (a->token && !*a->token)
		schema_error(w, tree_get(node, "token"), path, NULL, "an empty token");
}
