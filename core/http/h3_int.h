/*
 * HTTP/3 from the inside.
 *
 * h3_session.c	the mux: its streams, life and end	h3_control.c	unidirectional streams
 * h3_exchange.c	an exchange as a conn		h3_receive.c	what it reads
 * h3_send.c	what it writes			h3_qpack.c	field sections
 *
 * Whatever ends the session may be called from inside an owner's call on one of its exchanges: who
 * calls h3_end returns at once, as the stream below him is gone.
 */
#ifndef ADIT_CORE_HTTP_H3_INT_H
#define ADIT_CORE_HTTP_H3_INT_H

#include <sys/queue.h>

#include "core/http/h3.h"
#include "core/http/h3_qpack.h"
#include "core/mux/mux.h"
#include "core/runtime/queue.h"
#include "core/wire/h3_frame.h"
#include "core/wire/varint.h"

#define H3_OWN_MAX 64	/* bytes of our control stream that may wait */

struct h3;

/* Where the peer's message is. */
enum h3_rx {
	H3_RX_HEAD,	/* the request's, or the response's final one, has not come */
	H3_RX_BODY,
	H3_RX_TRAILED,	/* trailers have come: FIN is all that may follow */
	H3_RX_DONE,
	H3_RX_BROKEN,	/* what came ends the session: nothing more is read */
};

/* Where ours is. */
enum h3_tx {
	H3_TX_HEAD,	/* the (final) head was not sent */
	H3_TX_ASKED,	/* client: a CONNECT, unanswered */
	H3_TX_BODY,
	H3_TX_TRAILED,
	H3_TX_DONE,	/* FIN was asked for */
};

struct h3_exchange {
	struct adit_exchange	 base;
	struct h3		*h;		/* held; NULL once x is closed */
	struct adit_conn	*stream;	/* owned; NULL once closed */
	TAILQ_ENTRY(h3_exchange) entry;		/* in the session's exchanges */
	TAILQ_ENTRY(h3_exchange) wait;		/* in its arrived */
	struct adit_fields	*arrived;	/* heads and trailers, owned: not asked for yet, */
	struct adit_fields	*given;		/* and what the owner was given last */
	struct adit_fields	*trailers;
	struct h3_decoder	*decoder;	/* of the section being read; owned */
	struct h3_head		 head;		/* of the next frame */
	uint64_t		 type, left;	/* of the frame being read */
	uint64_t		 rx_left, tx_left; /* of Content-Length, or SECTION_NO_LENGTH */
	struct queue		 out;		/* written and not taken by the stream */
	enum h3_rx		 rx;
	enum h3_tx		 tx;
	enum section_asked	 asked;
	bool			 tunnel;	/* the bodies are one */
	bool			 empty;		/* our message has no content */
	bool			 opened;
	bool			 waiting_accept;/* server: in arrived */
	bool			 accepted;	/* it has an owner outside */
	bool			 head_given;	/* the final one: the body may be read */
	bool			 waiting;	/* a read found nothing: the stream is to tell */
	bool			 blocked;	/* a write found no room: the stream is to tell */
	bool			 fin;		/* shut the stream down when out is empty */
	bool			 fin_asked;	/* H3_TX_ASKED: shutdown was called */
	bool			 closed;	/* by its owner, kept until out is empty */
};

/* A unidirectional stream of the peer's. */
struct h3_uni {
	struct h3		*h;
	struct adit_conn	*stream;	/* owned */
	TAILQ_ENTRY(h3_uni)	 entry;
	bool			 typed;
	uint64_t		 type;
	struct h3_head		 head;		/* of the next frame, or the type */
	struct h3_frame		 frame;		/* being read, if in_frame */
	bool			 in_frame, skips;
	bool			 in_number;	/* decoder stream: within an instruction */
	size_t			 n;		/* of payload */
	uint8_t			 payload[];	/* H3_SETTINGS_MAX */
};

TAILQ_HEAD(h3_exchanges, h3_exchange);

struct h3 {
	struct adit_mux		 base;
	struct adit_mux		*streams;	/* owned; NULL once closed */
	struct h3_conf		 conf;		/* defaults filled in */
	bool			 server;
	bool			 opened, ended;
	bool			 full;		/* somebody waits for room */
	struct h3_exchanges	 exchanges, arrived;
	unsigned		 n_exchanges;
	TAILQ_HEAD(, h3_uni)	 unis;
	unsigned		 seen;		/* bits of the peer's critical streams */
	bool			 settled;	/* the peer's settings are known */
	struct h3_settings	 peer;
	uint64_t		 peer_limit;	/* of its GOAWAY; UINT64_MAX: none came */
	uint64_t		 push_limit;	/* of its MAX_PUSH_ID */
	bool			 crossed;	/* the server has dialled */
	uint64_t		 next;		/* server: behind the highest request */
	uint64_t		 goaway;	/* what ours said; UINT64_MAX: nothing */
	struct adit_conn	*control;	/* our control stream; owned; NULL: not any more */
	uint8_t			 own[H3_OWN_MAX];
	size_t			 n_own;		/* of own: not taken by control */
	struct h3_encoder	 encoder;
	struct adit_timer	*idle;
	uint64_t		 resets_until;	/* those of requests are paid for up to then */
	struct mux_follower	 follower;
};

static inline struct h3 *
h3_of(const struct adit_mux *m)
{
	return adit_container_of((struct adit_mux *)(uintptr_t)m, struct h3, base);
}

/* ---- h3_session.c ---------------------------------------------------------------------- */

/* Ends the session: err < 0 is its failure and that of its exchanges; text NULL: code says it. */
void h3_end(struct h3 *h, int err, uint64_t code, const char *text);

/* n bytes of the peer's were read. */
void h3_heard(struct h3 *h, size_t n);

/* A client has reset a request that was not answered. */
void h3_reset_early(struct h3 *h);

/* A request as GOAWAY counts it: as if the client had dialled (RFC 9114, 5.2). */
uint64_t h3_request_id(const struct adit_conn *stream);

/* The head of a request has arrived. */
void h3_announce(struct h3_exchange *x);

/* x is no longer the session's, which may be gone by it. */
void h3_forget(struct h3_exchange *x);

/* ---- h3_control.c ---------------------------------------------------------------------- */

/* Opens our control stream; 0 or a failure. */
int h3_control_open(struct h3 *h);

/* Tells the peer to open no more. */
void h3_control_goaway(struct h3 *h);

/* Takes a unidirectional stream of the peer's. */
void h3_uni_accept(struct h3 *h, struct adit_conn *stream);
void h3_uni_close(struct h3_uni *u);

/* ---- h3_exchange.c --------------------------------------------------------------------- */

/* Over stream, which it takes, also when it fails (NULL: out of memory). */
struct h3_exchange *h3_exchange_new(struct h3 *h, struct adit_conn *stream);

/* Says what is awaited of the stream. After every change of state that depends on. */
void h3_exchange_update(struct h3_exchange *x);

/* Ends the stream with that code, and x for its owner (err < 0); one without is closed. */
void h3_exchange_abort(struct h3_exchange *x, int err, uint64_t code, const char *why);

/* What the stream failed with: x's failure, and the same of one without an owner. */
void h3_exchange_failed(struct h3_exchange *x, int err);

/* The session is over; bytes that have arrived may still be read. */
void h3_exchange_over(struct h3_exchange *x, int err, uint64_t code);

/* The peer's GOAWAY says that x is not processed. */
void h3_exchange_unprocessed(struct h3_exchange *x);

/* ---- h3_receive.c ---------------------------------------------------------------------- */

/*
 * Reads up to the next byte of the body: 1, it is there; 0, the end; -EAGAIN; or a failure, which
 * is x's then.
 */
int h3_receive(struct h3_exchange *x);

/* As conn_ops.read and pour. */
ssize_t h3_receive_body(struct h3_exchange *x, void *buf, size_t len);
size_t h3_receive_pour(struct h3_exchange *x, struct adit_conn *to, size_t len);

/* ---- h3_send.c ------------------------------------------------------------------------- */

/* As exchange_ops and conn_ops. */
int h3_send_head(struct h3_exchange *x, const struct adit_fields *f, unsigned flags);
int h3_send_trailers(struct h3_exchange *x, const struct adit_fields *f);
ssize_t h3_send_body(struct h3_exchange *x, const struct iovec *iov, int n);
int h3_send_end(struct h3_exchange *x);

/* Gives out to the stream as far as it takes it. 0: it is empty; -EAGAIN; or a failure. */
int h3_send_flush(struct h3_exchange *x);

/* The answer to a CONNECT was no tunnel, or one. */
void h3_send_answered(struct h3_exchange *x);

#endif
