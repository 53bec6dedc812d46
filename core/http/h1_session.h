/*
 * An HTTP/1 connection from the inside: what its server and its client have in common. One exchange
 * at a time, so the state of its two messages stands here, and the exchange is little more than a
 * name for it.
 */
#ifndef ADIT_CORE_HTTP_H1_SESSION_H
#define ADIT_CORE_HTTP_H1_SESSION_H

#include "core/http/h1.h"
#include "core/http/h1_parse.h"
#include "core/http/h1_write.h"
#include "core/runtime/queue.h"

struct h1;

/* Where the peer's message is. */
enum h1_rx {
	H1_RX_HEAD,	/* its head is awaited or being read; between two exchanges, too */
	H1_RX_BODY,
	H1_RX_DONE,
	H1_RX_BROKEN,	/* malformed: nothing more is read */
};

/* Where ours is. */
enum h1_tx {
	H1_TX_HEAD,	/* the (final) head was not sent */
	H1_TX_BODY,
	H1_TX_PENDING,	/* client: complete, unless the response makes this the raw connection */
	H1_TX_DONE,
};

struct h1_exchange {
	struct adit_exchange	 base;
	struct h1		*h;		/* NULL: the connection is no longer its */
	struct adit_fields	*arrived;	/* heads and trailers, owned: not asked for yet, */
	struct adit_fields	*given;		/* and what the owner was given last */
	struct adit_fields	*trailers;
	bool			 head_given;	/* the final one: the body may be read */
};

/* What differs between server and client. */
struct h1_role {
	llhttp_type_t	 type;
	/* As exchange_ops. */
	int		(*send_head)(struct h1 *h, const struct adit_fields *f, unsigned flags);
	/* Bytes of a head came, not yet all; optional. */
	void		(*begun)(struct h1 *h);
	/* The parser has a whole head. 0 or an error that ends the connection. */
	int		(*head)(struct h1 *h);
	/* A malformed head, or a body if h->x. */
	void		(*refused)(struct h1 *h);
	/* EOF in H1_RX_HEAD. */
	void		(*ended)(struct h1 *h);
	/* Both messages were complete, the connection is kept and h is reset. */
	void		(*next)(struct h1 *h);
	/* The owner closed the exchange before both messages were complete. */
	void		(*abandoned)(struct h1 *h, int why);
	/* h->deadline has passed. */
	void		(*timeout)(struct h1 *h);
};

struct h1 {
	struct adit_mux		 base;
	const struct h1_role	*role;
	struct h1_conf		 conf;
	struct adit_conn	*lower;		/* owned; NULL once closed */
	struct h1_exchange	*x;		/* the current one, borrowed; NULL: none */
	struct queue		 in, out;	/* read too far; written and not taken by lower */
	struct adit_timer	*timer;
	uint64_t		 deadline, timer_at;	/* adit_now(); 0: none */
	uint64_t		 rx_left, tx_left;	/* H1_LENGTH */
	size_t			 dropped;	/* of a request nobody reads */
	int			 tx_broken;	/* client: why nothing more can be sent */
	enum h1_asked		 asked;		/* what kind of request the current one is */
	int			 version;	/* of the request (server) */
	enum h1_rx		 rx;
	enum h1_tx		 tx;
	enum h1_framing		 rx_framing, tx_framing;
	bool			 opened;
	bool			 keep;		/* another exchange may follow */
	bool			 last;		/* see h1_server_last */
	bool			 waiting;	/* a body read found nothing: lower is to tell */
	bool			 blocked;	/* a write found no room: lower is to tell */
	bool			 kick;		/* look at in again in the next turn */
	bool			 lower_ended;	/* nothing more comes from lower */
	bool			 end_lower;	/* shut lower down when out is empty */
	bool			 closing;	/* ended: close lower when out is empty */
	bool			 held;		/* closed by the owner, kept until that is done */
	bool			 accepted;	/* server: x is its owner's */
	bool			 expecting;	/* server: the client waits for a 100 */
	bool			 head_timed;	/* server: the deadline is that of a head */
	bool			 end_asked;	/* client, H1_TX_PENDING: shutdown was called */
	struct h1_parser	 parser;
};

/* ---- h1_session.c ---- */

/* For the two constructors. NULL: lower was closed. */
struct h1 *h1_new(struct adit_conn *lower, const struct adit_mux_ops *ops,
		  const struct h1_role *role, const struct h1_conf *conf);

/* mux_ops that are the same for both. */
void h1_mux_probe(struct adit_mux *m);
void h1_mux_drain(struct adit_mux *m);
void h1_mux_close(struct adit_mux *m, const struct adit_reason *why);
void h1_mux_cut(struct adit_mux *m);
void h1_mux_free(struct adit_mux *m);
struct h1 *h1_of(struct adit_mux *m);
const struct h1 *h1_of_const(const struct adit_mux *m);

/* From now on both directions are raw bytes. */
void h1_go_raw(struct h1 *h);

/* Takes the connection from x; its failure, if err, is latched. */
void h1_detach(struct h1 *h, int err);

/* The owner of the exchange, already detached, is done with it. */
void h1_exchange_over(struct h1 *h, int why);

/* Tells lower what is awaited of it. After every change of state that lower's events depend on. */
void h1_update(struct h1 *h);

/* Gives out to lower as far as it takes it. */
void h1_flush(struct h1 *h);

/* Lower failed to write. */
void h1_write_failed(struct h1 *h, int err);

/*
 * The end without ceremony, and the polite one: what was written is sent first. why->err < 0 is the
 * mux's.
 */
void h1_abort(struct h1 *h, int err, const char *why);
void h1_finish(struct h1 *h, int err, const char *why);

/* The deadline is that many ns from now; 0: none. Costs no timer most of the time. */
void h1_set_deadline(struct h1 *h, uint64_t ns);

/* Takes lower, which ends h; what was read too far is given back to it. NULL: h was aborted. */
struct adit_conn *h1_yield_lower(struct h1 *h);

/* Whether no more can be read: lower has ended, and what was read too far is used up. */
bool h1_is_spent(const struct h1 *h);

/* Reads on in heads from what was read too far. */
void h1_parse_ahead(struct h1 *h);

/* ---- h1_body.c ---- */

/* As conn_ops.read, of the current body; adit_conn_fail is the caller's. */
ssize_t h1_body_read(struct h1 *h, void *buf, size_t len);

/* As conn_ops.pour. */
size_t h1_body_pour(struct h1 *h, struct adit_conn *to, size_t len);

/* As conn_ops.writev. */
ssize_t h1_body_write(struct h1 *h, const struct iovec *iov, int n);

/* Our message is complete. 0, -ENOTSUP or -EPROTO; with trailers also -EAGAIN. */
int h1_body_end(struct h1 *h, const struct adit_fields *trailers);

/* ---- h1_exchange.c ---- */

/* An exchange for the current messages, open as far as lower is, as h->x. NULL: out of memory. */
struct h1_exchange *h1_exchange_new(struct h1 *h);

/* Gives x a head, or what follows its body. */
void h1_exchange_head(struct h1_exchange *x, struct adit_fields *f);

#endif
