#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <adit/worker.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/service/auth.h"
#include "core/service/component.h"

#define DIGEST 32
#define LINE_MAX_LEN 1024

struct auth_set {
	uint8_t	 key[DIGEST];
	size_t	 n;
	uint8_t	(*digests)[DIGEST];
};

/* Of user and password with their lengths, so that no two pairs look the same. */
static int
auth_digest(const uint8_t key[DIGEST], const char *user, size_t user_len, const char *password,
	    size_t password_len, uint8_t out[DIGEST])
{
	const uint64_t lens[2] = { user_len, password_len };
	gnutls_hmac_hd_t mac;

	if (gnutls_hmac_init(&mac, GNUTLS_MAC_SHA256, key, DIGEST) < 0)
		return -ENOMEM;
	gnutls_hmac(mac, lens, sizeof(lens));
	gnutls_hmac(mac, user, user_len);
	gnutls_hmac(mac, password, password_len);
	gnutls_hmac_deinit(mac, out);
	return 0;
}

static int
auth_set_add(struct auth_set *s, const char *user, const char *password)
{
	uint8_t (*digests)[DIGEST] = realloc(s->digests, (s->n + 1) * sizeof(*digests));

	if (!digests)
		return -ENOMEM;
	s->digests = digests;
	if (!password)
		password = "";
	if (auth_digest(s->key, user, strlen(user), password, strlen(password), digests[s->n]) < 0)
		return -ENOMEM;
	s->n++;
	return 0;
}

/*
 * Ends at the first blank: what is behind it is the password, blanks included. NULL for a comment
 * or an empty line.
 */
static char *
auth_split_line(char *line, char **password)
{
	char *user = line + strspn(line, " \t");
	size_t len;

	user[strcspn(user, "\r\n")] = 0;
	if (!*user || *user == '#')
		return NULL;
	len = strcspn(user, " \t");
	*password = user + len + strspn(user + len, " \t");
	user[len] = 0;
	return user;
}

/* 1, 0 at the end, or a failure. A long line is none of several: their ends would be users. */
static int
auth_next_line(FILE *f, const char *path, unsigned *number, char line[LINE_MAX_LEN],
	       struct adit_err *e)
{
	if (!fgets(line, LINE_MAX_LEN, f))
		return 0;
	++*number;
	if (strchr(line, '\n') || feof(f))
		return 1;
	return adit_err_set(e, ADIT_ECONFIG, "%s:%u: more than %d bytes", path, *number,
			    LINE_MAX_LEN - 2);
}

static int
auth_set_add_file(struct auth_set *s, const char *path, struct adit_err *e)
{
	char line[LINE_MAX_LEN], *user, *password;
	FILE *f = fopen(path, "re");
	unsigned number = 0;
	int err;

	if (!f)
		return adit_err_set(e, -errno, "%s: %s", path, adit_strerror(-errno));
	while ((err = auth_next_line(f, path, &number, line, e)) > 0) {
		user = auth_split_line(line, &password);
		err = user ? auth_set_add(s, user, password) : 0;
		if (err < 0) {
			adit_err_set(e, err, "out of memory");
			break;
		}
	}
	explicit_bzero(line, sizeof(line));
	fclose(f);
	return err;
}

static int
auth_set_add_conf(struct auth_set *s, const struct auth_conf *a, const struct place *at)
{
	struct adit_err e = ADIT_ERR_INIT;

	if (a->username && auth_set_add(s, a->username, a->password) < 0)
		return place_say(at, -ENOMEM, "out of memory");
	if (a->file && auth_set_add_file(s, a->file, &e) < 0)
		return place_refuse(at, &e);
	return 0;
}

static int
auth_set_add_auther(struct auth_set *s, const struct auther_conf *a, const struct place *at)
{
	static const char *const elsewhere[] = { "plugin", "redis", "http", NULL };
	struct adit_err e = ADIT_ERR_INIT;
	int err = place_unavailable(at, elsewhere);

	for (size_t i = 0; !err && i < a->auths.n; i++)
		err = auth_set_add_conf(s, &a->auths.v[i], at);
	if (!err && a->loader.file && auth_set_add_file(s, a->loader.file->path, &e) < 0)
		err = place_refuse(at, &e);
	return err;
}

static int
auth_set_add_authers(struct auth_set *s, const struct config *config,
		     const struct adit_strings *names, struct config_errors *errs)
{
	const struct place top = { .errs = errs };
	int err = 0;

	for (size_t i = 0; i < names->n; i++) {
		size_t index = (size_t)config_index_find(config, CONFIG_AUTHERS, names->v[i]);
		const struct auther_conf *a = &config->authers.v[index];
		struct place_step step;
		int one;

		place_step_item(&step, &top, config_list_name(CONFIG_AUTHERS), index, a->node);
		one = auth_set_add_auther(s, a, &step.at);
		err = one ? one : err;
	}
	return err;
}

int
auth_set_new(const struct config *config, const struct component_conf *c, const struct place *at,
	     struct auth_set **out)
{
	struct auth_set *s;
	int err;

	*out = NULL;
	if (!c->auth && !c->authers.n)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return place_say(at, -ENOMEM, "out of memory");
	adit_random(s->key, sizeof(s->key));
	/* Authers win over auth, as in gost. An auther without a user refuses everybody. */
	if (c->authers.n)
		err = auth_set_add_authers(s, config, &c->authers, at->errs);
	else
		err = auth_set_add_conf(s, c->auth, at);
	if (!err)
		*out = s;
	else
		auth_set_free(s);
	return err;
}

void
auth_set_free(struct auth_set *s)
{
	if (!s)
		return;
	free(s->digests);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

int
auth_set_check(const struct auth_set *s, const char *user, size_t user_len, const char *password,
	       size_t password_len)
{
	uint8_t digest[DIGEST];
	unsigned found = 0;

	if (!s)
		return 0;
	if (!user || auth_digest(s->key, user, user_len, password, password_len, digest) < 0)
		return ADIT_EUNAUTH;
	for (size_t i = 0; i < s->n; i++)
		found |= gnutls_memcmp(digest, s->digests[i], DIGEST) == 0;
	return found ? 0 : ADIT_EUNAUTH;
}

int
auth_read_file(const char *path, char **user, char **password, struct adit_err *e)
{
	char line[LINE_MAX_LEN], *name = NULL, *secret = NULL;
	FILE *f = fopen(path, "re");
	unsigned number = 0;
	int err = 1;

	if (!f)
		return adit_err_set(e, -errno, "%s: %s", path, adit_strerror(-errno));
	while (!name && err > 0) {
		err = auth_next_line(f, path, &number, line, e);
		name = err > 0 ? auth_split_line(line, &secret) : NULL;
	}
	fclose(f);
	if (err < 0)
		return err;
	if (!name)
		return adit_err_set(e, ADIT_ECONFIG, "%s: no credentials in it", path);
	*user = strdup(name);
	*password = strdup(secret);
	explicit_bzero(line, sizeof(line));
	if (*user && *password)
		return 0;
	free(*user);
	free(*password);
	return adit_err_set(e, -ENOMEM, "out of memory");
}

int
adit_component_authenticate(const struct adit_component *p, const char *user, size_t user_len,
			    const char *password, size_t password_len)
{
	return auth_set_check(atomic_load_explicit(&p->auth, memory_order_acquire), user, user_len,
			      password, password_len);
}
