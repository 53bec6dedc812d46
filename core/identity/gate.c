#include "core/identity/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/identity/auther.h"
#include "core/identity/permit.h"

#define PASSWORD_MAX 511	/* CRYPT_MAX_PASSPHRASE_SIZE - 1 */

/* A password that is hashed on a helper thread; outlives the login where that ends before. */
struct login_hash {
	struct adit_job		 job;
	struct login		*login;		/* NULL: it has ended */
	struct auth_found	 found;
	char			 user[AUTH_USER_MAX + 1], password[PASSWORD_MAX + 1];
	size_t			 user_len, password_len;
	int			 result;
};

/* ---- the gate ---------------------------------------------------------------------------- */

void
gate_fini(struct gate *g)
{
	auth_set_free(atomic_load(&g->own));
	for (size_t i = 0; g->authers && g->authers[i]; i++)
		held_put(g->authers[i]);
	free(g->authers);
	held_put(g->grants);
	g->authers = NULL;
	g->grants = NULL;
}

bool
gate_asks(const struct gate *g)
{
	return g->authers || atomic_load_explicit(&g->own, memory_order_acquire);
}

bool
gate_source(const struct gate *g, size_t i, struct auth_set **users)
{
	if (!g->authers) {
		*users = atomic_load_explicit(&g->own, memory_order_acquire);
		return i == 0 && *users;
	}
	/* i is never beyond the end: one asks for 0, 1, 2 ... */
	*users = g->authers[i] ? auther_users(held_now(g->authers[i])) : NULL;
	return g->authers[i] != NULL;
}

bool
gate_knows(const struct gate *g, const struct credentials *c)
{
	struct auth_found found;
	struct auth_set *users;

	for (size_t i = 0; gate_source(g, i, &users); i++)
		if (users && auth_set_check(users, c, &found) == 0)
			return true;
	return !gate_asks(g);
}

/* ---- hashing ----------------------------------------------------------------------------- */

static void
hash_free(struct login_hash *h)
{
	explicit_bzero(h, sizeof(*h));
	free(h);
}

static void
hash_work(struct adit_job *j)
{
	struct login_hash *h = adit_container_of(j, struct login_hash, job);

	h->result = auth_found_verify(&h->found, h->password);
}

static int login_try(struct login *l, const struct credentials *c, bool hashed);

/* The user may have gone meanwhile, or have another password. */
static int
hash_judge(struct login *l, const struct login_hash *h)
{
	const struct credentials c = {
		.user = h->user, .user_len = h->user_len,
		.password = h->password, .password_len = h->password_len,
	};
	struct auth_set *users;

	if (h->result == 0 && gate_source(l->gate, l->source, &users) && users &&
	    auth_set_has(users, h->found.proof)) {
		auth_set_remember(users, &h->found);
		l->who = identity_new(&h->found, adit_conn_certificate(l->conn));
		return l->who ? 0 : -ENOMEM;
	}
	if (!h->found.known)
		return ADIT_EUNAUTH;
	l->source++;
	return login_try(l, &c, true);
}

static void
hash_done(struct adit_job *j, struct adit_worker *w, bool cancelled)
{
	struct login_hash *h = adit_container_of(j, struct login_hash, job);
	struct login *l = h->login;
	int err;

	permits_part(w)->hashes--;
	if (l) {
		l->hash = NULL;
		err = cancelled ? ADIT_ESTOPPED : hash_judge(l, h);
		if (err != -EINPROGRESS)
			l->done(l, err);
	}
	hash_free(h);
}

/* What cannot be the password of anybody is hashed all the same, for the time that it takes. */
static void
hash_take(struct login_hash *h, const struct credentials *c)
{
	bool fits = c->user_len <= AUTH_USER_MAX && c->password_len <= PASSWORD_MAX &&
		    (!c->password_len || !memchr(c->password, 0, c->password_len));

	if (!fits) {
		h->found.known = false;
		return;
	}
	h->user_len = c->user_len;
	h->password_len = c->password_len;
	memcpy(h->user, c->user, c->user_len);
	if (c->password_len)
		memcpy(h->password, c->password, c->password_len);
}

/* -EINPROGRESS, or why not. */
static int
login_hash(struct login *l, const struct credentials *c, const struct auth_found *found)
{
	struct adit_worker *w = adit_conn_worker(l->conn);
	struct permits_part *part = permits_part(w);
	struct login_hash *h;

	if (!part)
		return -ENOMEM;
	if (part->hashes >= LOGIN_HASHES_MAX)
		return ADIT_ELIMIT;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->job = (struct adit_job){ .work = hash_work, .done = hash_done };
	h->login = l;
	h->found = *found;
	h->result = ADIT_EUNAUTH;
	hash_take(h, c);
	if (adit_job_run(w, &h->job) < 0) {
		hash_free(h);
		return ADIT_ELIMIT;
	}
	part->hashes++;
	l->hash = h;
	return -EINPROGRESS;
}

/* ---- logins ------------------------------------------------------------------------------ */

/*
 * From the source on that is next. hashed: a hash was made already, so that a failure has taken its
 * time.
 */
static int
login_try(struct login *l, const struct credentials *c, bool hashed)
{
	struct auth_found found, decoy = { .known = false };
	struct auth_set *users;

	for (; gate_source(l->gate, l->source, &users); l->source++) {
		int err = users ? auth_set_check(users, c, &found) : ADIT_EUNAUTH;

		if (err == 0) {
			l->who = identity_new(&found, adit_conn_certificate(l->conn));
			return l->who ? 0 : -ENOMEM;
		}
		if (err == -EINPROGRESS && found.known)
			return login_hash(l, c, &found);
		if (err == -EINPROGRESS)
			decoy = found;
	}
	return hashed || !*decoy.setting ? ADIT_EUNAUTH : login_hash(l, c, &decoy);
}

int
login_begin(struct login *l, struct gate *g, struct adit_conn *c,
	    const struct credentials *credentials)
{
	l->gate = g;
	l->conn = c;
	l->source = 0;
	l->who = NULL;
	if (g && gate_asks(g))
		return login_try(l, credentials, false);
	if (g && g->grants) {
		l->who = identity_new(NULL, adit_conn_certificate(c));
		return l->who ? 0 : -ENOMEM;
	}
	return 0;
}

void
login_end(struct login *l)
{
	if (l->hash)
		l->hash->login = NULL;
	l->hash = NULL;
	identity_free(l->who);
	l->who = NULL;
}
