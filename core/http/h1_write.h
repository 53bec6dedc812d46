/*
 * What HTTP/1 looks like, written: heads, chunk sizes and trailers (RFC 9112), into a queue.
 */
#ifndef ADIT_CORE_HTTP_H1_WRITE_H
#define ADIT_CORE_HTTP_H1_WRITE_H

#include "core/http/h1_parse.h"
#include "core/runtime/queue.h"

/* What the framing of a message depends on besides its fields, and what came of it. */
struct h1_message {
	enum h1_asked	 asked;		/* a response: to what; a request: what it is */
	int		 peer_version;	/* response: of the request, 10 or 11 */
	bool		 end;		/* ADIT_HEAD_END was given */
	bool		 keep;		/* in: the connection may be kept; out: it will be */
	enum h1_framing	 framing;	/* out */
	uint64_t	 length;	/* out: H1_LENGTH */
};

/*
 * Writes a request's head, or a response's. The framing is derived: a Content-Length is kept,
 * without one a body is chunked (toward HTTP/1.0: until the end of the connection), and
 * Transfer-Encoding is never taken from f. Host comes from ADIT_AUTHORITY alone. 0; -EAGAIN: it
 * does not fit in the queue now; -EINVAL: f is no such head (no method, a Content-Length that is
 * none or contradicts the end); -ENOMEM, with perhaps a part written.
 */
int h1_write_request(struct queue *q, const struct adit_fields *f, struct h1_message *m);
int h1_write_response(struct queue *q, const struct adit_fields *f, struct h1_message *m);

/*
 * The last chunk and the trailers; t may be NULL. Fields that frame or route are left out (RFC
 * 9110, 6.5.1).
 */
int h1_write_trailers(struct queue *q, const struct adit_fields *t);

#define H1_CHUNK_HEAD 18	/* 16 digits and CR LF */

/* Writes "SIZE\r\n", which is not terminated; returns its length. */
size_t h1_chunk_head(char out[H1_CHUNK_HEAD], size_t size);

#endif
