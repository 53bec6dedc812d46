#include "core/identity/auth_set.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "core/identity/auth_cache.h"

#define LINE_MAX_LEN 1022

/* What a digest is of, so that no two kinds are the same. */
enum digest_kind {
	DIGEST_NAME,		/* a user, or a token */
	DIGEST_PAIR,		/* a user and his password */
	DIGEST_HASHED,		/* a user and the hash of his password */
};

struct user {
	uint8_t		 key[AUTH_PROOF];	/* by which he is found */
	uint8_t		 proof[AUTH_PROOF];
	size_t		 order;			/* in which they were added */
	unsigned	 line;			/* of a text; 0: of none */
	unsigned	 text;			/* which */
	char		*name;
	char		*hash;			/* NULL: proof is of the password itself */
};

struct auth_set {
	struct user		*users;		/* sorted by key once sealed */
	size_t			 n, room;
	const uint8_t		**proofs;	/* of all, sorted; owned, once sealed */
	unsigned		 texts;		/* that were added */
	unsigned		 hidden, by;	/* lines; 0: none */
	unsigned		 text;		/* that they are of */
	const char		*decoy;		/* somebody's hash, or NULL: there is none */
	struct auth_cache	*cache;		/* if there are hashes; owned */
};

/*
 * Digests are compared between sets (who passed by one is looked for in the next), so the key is
 * the process's; it is made once and never leaves this file.
 */
static uint8_t process_key[32];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void
make_process_key(void)
{
	gnutls_rnd(GNUTLS_RND_KEY, process_key, sizeof(process_key));
}

/* ---- digests ---------------------------------------------------------------------------- */

/* With their lengths, so that no two pairs look the same. */
static int
digest_of(enum digest_kind kind, const struct credentials *c, uint8_t out[AUTH_PROOF])
{
	const uint64_t head[3] = { (uint64_t)kind, c->user_len, c->password_len };
	gnutls_hmac_hd_t mac;

	pthread_once(&process_key_once, make_process_key);
	if (gnutls_hmac_init(&mac, GNUTLS_MAC_SHA256, process_key, sizeof(process_key)) < 0)
		return -ENOMEM;
	gnutls_hmac(mac, head, sizeof(head));
	if (c->user_len)
		gnutls_hmac(mac, c->user, c->user_len);
	if (c->password_len)
		gnutls_hmac(mac, c->password, c->password_len);
	gnutls_hmac_deinit(mac, out);
	return 0;
}

/* By which an entry is found. */
static int
key_of(const struct credentials *c, uint8_t out[AUTH_PROOF])
{
	const struct credentials name = { .user = c->user, .user_len = c->user_len };

	return digest_of(DIGEST_NAME, &name, out);
}

static struct credentials
pair(const char *user, const char *password)
{
	return (struct credentials){
		.user = user, .user_len = strlen(user),
		.password = password, .password_len = strlen(password),
	};
}

/* ---- filling ---------------------------------------------------------------------------- */

static void
user_fini(struct user *u)
{
	if (u->hash)
		explicit_bzero(u->hash, strlen(u->hash));
	free(u->hash);
	free(u->name);
}

struct auth_set *
auth_set_begin(void)
{
	return calloc(1, sizeof(struct auth_set));
}

void
auth_set_free(struct auth_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		user_fini(&s->users[i]);
	free(s->users);
	free(s->proofs);
	auth_cache_free(s->cache);
	free(s);
}

static struct user *
set_room(struct auth_set *s)
{
	size_t room = s->room ? 2 * s->room : 16;
	struct user *more;

	if (s->n < s->room)
		return &s->users[s->n];
	more = reallocarray(s->users, room, sizeof(*more));
	if (!more)
		return NULL;
	s->users = more;
	s->room = room;
	return &more[s->n];
}

/* c: what will be presented, or a name and a hash. */
static int
set_add(struct auth_set *s, const char *name, const struct credentials *c, bool hashed)
{
	struct user *u = set_room(s);

	if (!u)
		return -ENOMEM;
	*u = (struct user){ .order = s->n };
	if (key_of(c, u->key) < 0 ||
	    digest_of(hashed ? DIGEST_HASHED : DIGEST_PAIR, c, u->proof) < 0)
		return -ENOMEM;
	u->name = strdup(name);
	if (hashed)
		u->hash = strdup(c->password);
	if (u->name && (u->hash || !hashed)) {
		s->n++;
		return 0;
	}
	user_fini(u);
	return -ENOMEM;
}

int
auth_set_add(struct auth_set *s, const char *user, const char *password)
{
	const struct credentials c = pair(user, password ? password : "");

	return set_add(s, user, &c, false);
}

int
auth_set_add_token(struct auth_set *s, const char *user, const char *token)
{
	const struct credentials c = pair(token, "");

	return set_add(s, user, &c, false);
}

/* Ends at the first blank: what is behind it is the password, blanks included. */
char *
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

/* Whether it begins as "$id$" does, with what may be the name of a method. */
static bool
looks_hashed(const char *password)
{
	size_t len = strspn(password + (*password == '$'), "0123456789abcdefghijklmnopqrstuvwxyz");

	return *password == '$' && len >= 1 && len <= 4 && password[len + 1] == '$';
}

/* yescrypt, its kin, and what is not worse than bcrypt and SHA-512. */
static bool
is_taken(const char *hash)
{
	static const char *const methods[] = {
		"$y$", "$gy$", "$7$", "$2b$", "$2a$", "$2y$", "$6$",
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (strncmp(hash, methods[i], strlen(methods[i])) == 0)
			return strlen(hash) < AUTH_SETTING_MAX &&
			       crypt_checksalt(hash) == CRYPT_SALT_OK;
	return false;
}

static int
set_add_line(struct auth_set *s, char *line, struct adit_err *e)
{
	size_t len = strlen(line);
	char *password, *user;
	struct credentials c;

	if (len > LINE_MAX_LEN)
		return adit_err_set(e, -EINVAL, "more than %d bytes", LINE_MAX_LEN);
	user = auth_split_line(line, &password);
	if (!user)
		return 0;
	if (strlen(user) > AUTH_USER_MAX)
		return adit_err_set(e, -EINVAL, "a name of more than %d bytes", AUTH_USER_MAX);
	if (looks_hashed(password) && !is_taken(password))
		return adit_err_set(e, -EINVAL, "the hash is of a kind that is not taken: "
				    "yescrypt ($y$), gost-yescrypt, scrypt, bcrypt and "
				    "SHA-512 are");
	c = pair(user, password);
	if (set_add(s, user, &c, looks_hashed(password)) == 0)
		return 0;
	return adit_err_set(e, -ENOMEM, "out of memory");
}

int
auth_set_add_text(struct auth_set *s, char *text, struct adit_err *e)
{
	unsigned number = 0;
	char *line;
	int err = 0;

	while (!err && (line = strsep(&text, "\n"))) {
		size_t before = s->n;

		number++;
		err = set_add_line(s, line, e);
		if (s->n > before) {
			s->users[before].line = number;
			s->users[before].text = s->texts;
		}
	}
	s->texts++;
	if (err)
		adit_err_context(e, "line %u", number);
	return err;
}

static int
compare_users(const void *a, const void *b)
{
	const struct user *x = a, *y = b;
	int order = memcmp(x->key, y->key, AUTH_PROOF);

	if (order)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int
compare_proofs(const void *a, const void *b)
{
	const uint8_t *const *x = a, *const *y = b;

	return memcmp(*x, *y, AUTH_PROOF);
}

/* Somebody's proof is looked for whenever users have changed, for all that goes on. */
static int
set_sort_proofs(struct auth_set *s)
{
	if (!s->n)
		return 0;
	s->proofs = malloc(s->n * sizeof(*s->proofs));
	if (!s->proofs)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		s->proofs[i] = s->users[i].proof;
	qsort(s->proofs, s->n, sizeof(*s->proofs), compare_proofs);
	return 0;
}

int
auth_set_seal(struct auth_set *s)
{
	size_t n = 0;

	if (s->n)
		qsort(s->users, s->n, sizeof(*s->users), compare_users);
	for (size_t i = 0; i < s->n; i++) {
		bool last = i + 1 == s->n ||
			    memcmp(s->users[i].key, s->users[i + 1].key, AUTH_PROOF) != 0;

		if (last) {
			s->users[n++] = s->users[i];
			continue;
		}
		if (s->users[i].line && s->users[i].text == s->users[i + 1].text) {
			s->text = s->users[i].text;
			s->hidden = s->users[i].line;
			s->by = s->users[i + 1].line;
		}
		user_fini(&s->users[i]);
	}
	s->n = n;
	for (size_t i = 0; i < n && !s->decoy; i++)
		s->decoy = s->users[i].hash;
	if (s->decoy)
		s->cache = auth_cache_new();
	return s->decoy && !s->cache ? -ENOMEM : set_sort_proofs(s);
}

size_t
auth_set_count(const struct auth_set *s)
{
	return s->n;
}

unsigned
auth_set_hidden(const struct auth_set *s, unsigned *by, unsigned *text)
{
	*text = s->text;
	*by = s->by;
	return s->hidden;
}

/* ---- checking --------------------------------------------------------------------------- */

/*
 * The keys are of a keyed digest: how far a comparison of two goes tells nothing about a name to
 * who has not the key.
 */
static const struct user *
set_find(const struct auth_set *s, const uint8_t key[AUTH_PROOF])
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(s->users[mid].key, key, AUTH_PROOF) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == s->n || gnutls_memcmp(s->users[low].key, key, AUTH_PROOF) != 0)
		return NULL;
	return &s->users[low];
}

static void
found_user(struct auth_found *found, const struct user *u)
{
	strncpy(found->user, u->name, AUTH_USER_MAX);
	memcpy(found->proof, u->proof, AUTH_PROOF);
	found->known = true;
}

/* A hash has to be made, perhaps for nothing. */
static int
set_ask_for_hash(struct auth_set *s, const struct user *u, struct auth_found *found)
{
	if (!s->decoy)
		return ADIT_EUNAUTH;
	if (u && u->hash) {
		found_user(found, u);
		if (auth_cache_has(s->cache, found->digest, adit_now()))
			return 0;
	}
	strncpy(found->setting, found->known ? u->hash : s->decoy, AUTH_SETTING_MAX - 1);
	return -EINPROGRESS;
}

int
auth_set_check(struct auth_set *s, const struct credentials *c, struct auth_found *found)
{
	static const uint8_t nothing[AUTH_PROOF];
	uint8_t key[AUTH_PROOF];
	const struct user *u;

	*found = (struct auth_found){ .known = false };
	if (!c->user || key_of(c, key) < 0 || digest_of(DIGEST_PAIR, c, found->digest) < 0)
		return ADIT_EUNAUTH;
	u = set_find(s, key);
	if (gnutls_memcmp(found->digest, u ? u->proof : nothing, AUTH_PROOF) == 0 && u) {
		found_user(found, u);
		return 0;
	}
	return set_ask_for_hash(s, u, found);
}

int
auth_found_verify(const struct auth_found *found, const char *password)
{
	struct crypt_data *work = calloc(1, sizeof(*work));	/* 32 KiB: too much for a stack */
	size_t len = strlen(found->setting);
	const char *hash;
	bool same = false;

	if (!work)
		return ADIT_EUNAUTH;
	hash = crypt_rn(password, found->setting, work, (int)sizeof(*work));
	if (hash && *hash != '*')
		same = strlen(hash) == len && gnutls_memcmp(hash, found->setting, len) == 0;
	explicit_bzero(work, sizeof(*work));
	free(work);
	return same && found->known ? 0 : ADIT_EUNAUTH;
}

void
auth_set_remember(struct auth_set *s, const struct auth_found *found)
{
	uint64_t now = adit_now();

	if (s->cache)
		auth_cache_put(s->cache, found->digest, now, now + AUTH_REMEMBER);
}

/* As with keys, how far a comparison goes tells nothing to who has not the process's key. */
bool
auth_set_has(const struct auth_set *s, const uint8_t proof[AUTH_PROOF])
{
	return s->proofs &&
	       bsearch(&proof, s->proofs, s->n, sizeof(*s->proofs), compare_proofs) != NULL;
}
