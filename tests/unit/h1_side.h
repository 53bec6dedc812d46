/*
 * One side of HTTP/1 under test: the mux on one end of a pair, and on the other end, as text, what
 * is on the wire. The side owns what the mux gives (one exchange at a time) and writes down what it
 * sees.
 */
#ifndef ADIT_TEST_H1_SIDE_H
#define ADIT_TEST_H1_SIDE_H

#include <adit/exchange.h>

#include "core/http/h1.h"
#include "tests/unit/loop.h"

/* Bytes, terminated. */
struct side_text {
	char	*s;
	size_t	 len, room;
};

struct side {
	struct loop		*loop;
	bool			 server;
	struct adit_conn	*wire;		/* NULL once closed */
	struct side_text	 got;		/* from the wire */
	unsigned		 wire_reads;	/* that brought bytes */
	bool			 wire_ended;
	int			 wire_err;
	bool			 wire_paused;	/* do not read the wire */

	struct adit_mux		*mux;		/* NULL once closed; closed when it has ended */
	int			 mux_err;
	unsigned		 accepted;

	struct adit_exchange	*x;
	/* Each as "GET http a.b /path 11\nname: value\n" or "200 11\n...", and an empty line. */
	struct side_text	 heads;
	struct side_text	 body;
	bool			 body_ended;
	bool			 paused;	/* do not read the body */
	bool			 hands_off;	/* take the head, and leave the rest to the test */
	const struct adit_fields *fields;	/* the last head, the exchange's; hands_off: the
						 * first */
	int			 x_err;
	unsigned		 failures;	/* exchanges that failed */
};

/* cut: the mux reads and writes one byte at a time. */
struct side *side_server(struct loop *l, const struct h1_conf *conf, bool cut);
struct side *side_client(struct loop *l, const struct h1_conf *conf, bool cut);

/* Closes all that is open. */
void side_free(struct side *s);

/* Writes to the wire; all of it, or the test fails. */
void side_send(struct side *s, const char *text);
void side_send_bytes(struct side *s, const void *p, size_t len);

/* Turns until nothing more happens. */
void side_settle(struct side *s);

/* Settles; the wire has brought exactly that since the last time. */
void side_expect(struct side *s, const char *text);

/* The same for the exchange's heads and body. */
void side_expect_heads(struct side *s, const char *text);
void side_expect_body(struct side *s, const char *text);

/* Opens an exchange (client) as s->x. */
void side_open(struct side *s);

/* A head from text: "GET http a.b /path" or "200", then "name: value" lines. */
struct adit_fields *side_fields(const char *text);

/* Sends such a head; the result of adit_exchange_send_head. */
int side_head(struct side *s, const char *text, unsigned flags);

/* Writes all of text as body. */
void side_body(struct side *s, const char *text);

/* Ends our body. */
void side_end(struct side *s);

/* Closes s->x. */
void side_close(struct side *s, int why);

/* Shorthand: a response with that body and a length, the exchange then closed. */
void side_respond(struct side *s, const char *body);

#endif
