/*
 * What HTTP/1 looks like, read: bytes in, fields and body bytes out, no I/O (RFC 9112). llhttp
 * parses; in front of it stands a check of the line structure, because what one parser takes for a
 * line end, a folded line or a second space and the next one does not is how requests are smuggled.
 * Nothing is repaired: a head is as the grammar has it, or it is refused.
 */
#ifndef ADIT_CORE_HTTP_H1_PARSE_H
#define ADIT_CORE_HTTP_H1_PARSE_H

#include <llhttp.h>

#include <adit/exchange.h>

#include "core/http/h1_chunk_line.h"

#define H1_HEAD_MAX	  65536	/* bytes of a head, or of trailers */
#define H1_CHUNK_LINE_MAX 4096	/* bytes between two pieces of a body: chunk sizes, extensions */
#define H1_CHUNK_MAX	  (UINT64_C(1) << 40)	/* of one chunk's body bytes: nobody means more */

/* How the body behind a head ends. */
enum h1_framing {
	H1_NO_BODY,
	H1_LENGTH,
	H1_CHUNKED,
	H1_UNTIL_EOF,
	H1_RAW,		/* no longer HTTP: after a 101, or a 2xx to CONNECT */
};

/* What a response is an answer to, as far as its framing depends on it. */
enum h1_asked { H1_ASKED_PLAIN, H1_ASKED_HEAD, H1_ASKED_CONNECT, H1_ASKED_UPGRADE };

/* Why a message was refused. */
struct h1_fault {
	int		 status;	/* what to answer to such a request */
	const char	*why;		/* a literal */
};

/* The line structure of one section (a head, or trailers), seen so far. */
struct h1_lines {
	uint32_t	 bytes;
	bool		 cr;		/* the last byte was a CR */
	bool		 empty;		/* nothing yet in this line */
	bool		 first;		/* this is the start line */
	uint8_t		 spaces;	/* in the start line */
	uint8_t		 n;		/* of token */
	char		 token[14];	/* request: the version; response: how it begins */
};

struct h1_parser {
	llhttp_t		 llhttp;
	enum h1_asked		 asked;
	struct h1_lines		 lines;
	bool			 head_done, body_done, in_trailers;
	struct adit_fields	*fields;	/* being filled, owned; NULL: no field yet */
	struct adit_text	 target;	/* of a request, as sent */
	struct adit_text	 name;		/* of the field whose value is being read */
	enum h1_framing		 framing;	/* valid once the head is done */
	uint64_t		 length;	/* H1_LENGTH: never 0 */
	struct h1_fault		 fault;
	char			*out;		/* where body bytes go */
	size_t			 n_out;
	enum h1_chunk_line	 chunk_line;	/* H1_CHUNK_END: in the chunk behind it */
	size_t			 overhead;	/* bytes of such lines since the last body byte */
};

/* type: HTTP_REQUEST or HTTP_RESPONSE. */
void h1_parser_init(struct h1_parser *p, llhttp_type_t type);
void h1_parser_fini(struct h1_parser *p);

/* Begins a message; asked matters for a response. Memory is taken when its first byte comes. */
void h1_parser_start(struct h1_parser *p, enum h1_asked asked);

/* Whether any byte of the message (blank lines before it do not count) was seen. */
bool h1_parser_begun(const struct h1_parser *p);

/*
 * Reads on in the head. Returns how many bytes belong to it: less than len only when p->head_done,
 * and then framing and length are known and h1_parser_take gives the head. -EBADMSG: refused,
 * p->fault says why; -ENOMEM.
 */
ssize_t h1_parse_head(struct h1_parser *p, const char *s, size_t len);

/*
 * Reads on in a chunked body and its trailers. Body bytes go to out, at most as many as were read,
 * which may be where s is. Returns how many bytes were used: less than len only when p->body_done;
 * h1_parser_take then gives the trailers, or NULL. Errors as above; what came before one is in out.
 */
ssize_t h1_parse_chunks(struct h1_parser *p, const char *s, size_t len, char *out, size_t *n_out);

/* What was read, now the caller's. */
struct adit_fields *h1_parser_take(struct h1_parser *p);

/*
 * Checks a request's head and puts its control data in order: the target's form and the Host field
 * (RFC 9112, 3.2). Host is then no longer among the fields: its only place is ADIT_AUTHORITY. 0,
 * -EBADMSG with fault filled, or -ENOMEM.
 */
int h1_check_request(struct adit_fields *f, struct adit_text target, bool secure,
		     struct h1_fault *fault);

#endif
