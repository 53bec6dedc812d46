/*
 * Looks into a TLS ClientHello (RFC 8446, 4.1.2; the same shape since TLS 1.0) for the name that
 * is asked for (RFC 6066, 3), ALPN (RFC 7301) and versions, before anybody decides where the
 * connection goes. It takes no part in TLS: the bytes are replayed to whoever does.
 *
 * The hello may be spread over several records. The caller keeps all bytes from the first one on
 * and asks again when more have come; at CLIENTHELLO_MAX of them the answer is final. Put a time
 * limit on it. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_CLIENTHELLO_H
#define ADIT_CORE_WIRE_CLIENTHELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/wire/hostname.h"

enum {
	CLIENTHELLO_MAX = 16384,	/* bytes, record headers included */
	CLIENTHELLO_ALPN_MAX = 256,
	CLIENTHELLO_VERSIONS = 16,
	CLIENTHELLO_ALERT_LEN = 7,
};

enum clienthello_result {
	CLIENTHELLO_MORE,		/* not complete: see need */
	CLIENTHELLO_NOT_TLS,		/* the first bytes are no ClientHello in a TLS record */
	CLIENTHELLO_MALFORMED,		/* TLS, and wrong or too long: see why */
	CLIENTHELLO_NO_NAME,		/* complete, and no host name in it */
	CLIENTHELLO_FOUND,		/* complete, name is filled */
};

enum tls_alert {			/* RFC 8446, 6.1 and 6.2 */
	TLS_ALERT_CLOSE_NOTIFY = 0,
	TLS_ALERT_DECODE_ERROR = 50,
	TLS_ALERT_INTERNAL_ERROR = 80,
	TLS_ALERT_USER_CANCELED = 90,
	TLS_ALERT_UNRECOGNIZED_NAME = 112,
};

struct clienthello {
	char		name[HOSTNAME_MAX + 1];	/* of FOUND: normalised by hostname_normalise() */
	uint8_t		alpn[CLIENTHELLO_ALPN_MAX];	/* as on the wire: LEN(1) PROTOCOL, ... */
	uint16_t	alpn_len;	/* bytes of alpn; what does not fit was left out */
	uint16_t	version[CLIENTHELLO_VERSIONS];	/* offered, in the client's order */
	uint8_t		n_version;	/* the first so many; at least 1 when complete */
	size_t		need;		/* of MORE: bytes from the beginning, at least */
	size_t		len;		/* of FOUND and NO_NAME: bytes of it, with its records */
	const char	*why;		/* of MALFORMED: static text */
};

/* Looks at the len bytes that a connection began with. h is filled as far as the result says. */
enum clienthello_result clienthello_parse(const void *buf, size_t len, struct clienthello *h);

/* Whether the client offers protocol. */
bool clienthello_offers(const struct clienthello *h, const char *protocol);

/* Writes the record of an alert, sent instead of a ServerHello: fatal if it is one of 6.2's. */
void clienthello_alert(enum tls_alert alert, uint8_t out[CLIENTHELLO_ALERT_LEN]);

#endif
