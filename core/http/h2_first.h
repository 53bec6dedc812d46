/*
 * The first request of a connection of HTTP/2, found in bytes that stay with the caller (RFC 9113,
 * 3.4 and 4.1): where a connection goes that is passed on as it is. Asked again with more bytes,
 * what was found stays. No I/O; any thread.
 */
#ifndef ADIT_CORE_HTTP_H2_FIRST_H
#define ADIT_CORE_HTTP_H2_FIRST_H

#include <adit/exchange.h>

#define H2_FIRST_FRAME 9	/* bytes of a frame without a payload: an acknowledgement */

/* Where it begins, in a connection that begins with the preface; 0: that is not there yet. */
struct h2_first {
	size_t	head, head_len;	/* the frames that make up the request's head, whole */
	size_t	ack;		/* the first acknowledgement of settings */
	bool	settled;	/* the client's own settings are there */
};

/* 0, or -EBADMSG: no client of HTTP/2 begins like that. */
int h2_first_look(const uint8_t *buf, size_t len, struct h2_first *out);

/* The request: 0 and *out is the caller's; -EBADMSG: it is none; -E2BIG; -ENOMEM. */
int h2_first_request(const uint8_t *buf, const struct h2_first *first, struct adit_fields **out);

/*
 * What a server says to a client that says nothing before it: settings, all of them the defaults.
 * The client acknowledges them, which the server that the connection goes to must not hear.
 */
extern const uint8_t h2_first_settings[H2_FIRST_FRAME];

/* Then: that it has waited for a request long enough. */
#define H2_FIRST_GOAWAY (H2_FIRST_FRAME + 8)
extern const uint8_t h2_first_goaway[H2_FIRST_GOAWAY];

#endif
