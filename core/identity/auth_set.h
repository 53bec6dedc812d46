/*
 * Users and how each proves who he is: a password, a hash of one (crypt(5)), or a token, which is
 * presented in place of a name and without a password. Filled and sealed by one thread, then
 * checked by any. Of passwords and tokens only digests under a key of the process are kept. What is
 * compared is compared in constant time, and a failed check costs the same whoever it named.
 */
#ifndef ADIT_CORE_AUTH_SET_H
#define ADIT_CORE_AUTH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>
#include <adit/worker.h>

#define AUTH_FILE_MAX (16u << 20)
#define AUTH_USER_MAX 255	/* bytes of a name; the wires carry no more */
#define AUTH_PROOF 32
#define AUTH_SETTING_MAX 384	/* CRYPT_OUTPUT_SIZE */

/* For how long a password that was hashed and found right needs no hashing again. */
#define AUTH_REMEMBER ADIT_SECONDS(60)

struct auth_set;

/* What somebody presents; user NULL: nothing. Borrowed for the call. */
struct credentials {
	const char	*user, *password;
	size_t		 user_len, password_len;
};

/* What a check found. The password is not in it. */
struct auth_found {
	char	user[AUTH_USER_MAX + 1];
	uint8_t	proof[AUTH_PROOF];	/* of user and secret: another secret, another proof */
	uint8_t	digest[AUTH_PROOF];	/* of what was presented */
	char	setting[AUTH_SETTING_MAX];	/* the hash to compare with */
	bool	known;			/* there is such a user; else the hash is made for nothing,
					 * to take as long */
};

struct auth_set *auth_set_begin(void);		/* empty; NULL: out of memory */
void auth_set_free(struct auth_set *s);		/* NULL is fine */

/*
 * Adds a user; password NULL: "". A name that is there already has the later secret. 0 or -ENOMEM.
 */
int auth_set_add(struct auth_set *s, const char *user, const char *password);

/* Adds a token; who presents it, as a name without a password, is that user. */
int auth_set_add_token(struct auth_set *s, const char *user, const char *token);

/*
 * Adds the lines "user password" of text, which is changed; a password that begins as a hash of
 * crypt(5) does is one. 0, -ENOMEM, or -EINVAL with e: a line that is too long, a hash of a kind
 * that is not taken; e never quotes what may be a secret.
 */
int auth_set_add_text(struct auth_set *s, char *text, struct adit_err *e);

/* No more are added. 0 or -ENOMEM. */
int auth_set_seal(struct auth_set *s);

size_t auth_set_count(const struct auth_set *s);

/*
 * Once sealed: a line whose user has a later one in the same text, by which he is checked. Its
 * number; *by is the other's, *text which of the texts that were added, from 0. 0: there is none.
 */
unsigned auth_set_hidden(const struct auth_set *s, unsigned *by, unsigned *text);

/*
 * Whether c may pass: 0, ADIT_EUNAUTH, or -EINPROGRESS: auth_found_verify has to say so. found is
 * filled in but for ADIT_EUNAUTH.
 */
int auth_set_check(struct auth_set *s, const struct credentials *c, struct auth_found *found);

/* Hashes the password, a C string, which takes long: 0 or ADIT_EUNAUTH. Helper threads. */
int auth_found_verify(const struct auth_found *found, const char *password);

/* What was verified needs no hashing for a while. */
void auth_set_remember(struct auth_set *s, const struct auth_found *found);

/* Whether the user who once passed with that proof is still there, with the same secret. */
bool auth_set_has(const struct auth_set *s, const uint8_t proof[AUTH_PROOF]);

/* Splits off the user and password of a line; NULL: a comment, or empty. Both within line. */
char *auth_split_line(char *line, char **password);

#endif
