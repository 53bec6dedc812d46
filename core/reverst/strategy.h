/*
 * One way to authenticate at a reverst tunnel group: a scheme, and what the payload behind it must
 * be. Passwords and tokens are kept as SHA-256 alone and compared in constant time. Made while a
 * groups file is read, then read only, by any thread.
 */
#ifndef ADIT_CORE_REVERST_STRATEGY_H
#define ADIT_CORE_REVERST_STRATEGY_H

#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>

#define STRATEGY_DIGEST 32	/* SHA-256 */
#define STRATEGY_PAYLOAD_MAX 8192

enum strategy_kind { STRATEGY_BASIC, STRATEGY_BEARER, STRATEGY_EXTERNAL };

struct strategy {
	enum strategy_kind	 kind;
	const char		*scheme;	/* compared with case, as reverst does */
	const char		*endpoint;	/* an external one's, maybe a secret; or NULL */
	uint8_t			 user[STRATEGY_DIGEST];	/* a basic one's */
	uint8_t			 secret[STRATEGY_DIGEST];	/* its password; a bearer's token */
};

/* The digest of a password or a token. 0, or -EIO: GnuTLS failed. */
int strategy_digest(const void *text, size_t len, uint8_t out[STRATEGY_DIGEST]);

/* Reads a digest as hex digits. 0 or -EINVAL. */
int strategy_digest_parse(const char *hex, uint8_t out[STRATEGY_DIGEST]);

/*
 * Whether the payload behind the scheme is right: 0, ADIT_EUNAUTH, or -EAGAIN: s's endpoint has to
 * be asked.
 */
int strategy_check(const struct strategy *s, const char *payload, size_t len);

#endif
