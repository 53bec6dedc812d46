/*
 * Credentials of HTTP's Basic scheme (RFC 7617), as Authorization and Proxy-Authorization carry
 * them. No I/O; any thread.
 */
#ifndef ADIT_CORE_HTTP_BASIC_H
#define ADIT_CORE_HTTP_BASIC_H

#include <adit/exchange.h>

#define BASIC_MAX 1024	/* bytes of "user:password" */

struct basic {
	char	text[BASIC_MAX + 1];	/* both, each terminated; a secret */
	size_t	user_len, password_len;
};

/* Where the password begins; the user is at the beginning of b->text. */
const char *basic_password(const struct basic *b);

/*
 * Reads a field's value. 0, or -EINVAL: absent, of another scheme, no base64, without a colon, or
 * too long. Whoever calls wipes b.
 */
int basic_decode(struct adit_text value, struct basic *b);

/* The value for user and password, malloc'ed and terminated; a secret. NULL: out of memory. */
char *basic_encode(const char *user, const char *password);

#endif
