/*
 * HTTP/2 from the inside: the session (h2.c: its life and its bytes, h2_frames.c: its frames) and
 * its streams as conns (h2_stream.c). What a request and its answer are is a role's to say: gost's
 * transport (h2_transport.c), exchanges (core/http/h2.c). A role's sessions begin with a struct h2,
 * its streams with a struct h2_stream.
 */
#ifndef ADIT_CORE_MUX_H2_INT_H
#define ADIT_CORE_MUX_H2_INT_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include <adit/exchange.h>
#include <adit/mux.h>

#include "core/mux/question.h"
#include "core/mux/window.h"
#include "core/runtime/queue.h"
#include "core/runtime/worker.h"

#define H2_WINDOW 65536u		/* of a stream, at first */
#define H2_WINDOW_MAX (8u << 20)	/* for a round trip of 100 ms and 600 Mbit/s */
#define H2_GROWN_MAX (16u << 20)	/* of all windows of a session, beyond the first */
#define H2_OUT_CAP 65536u		/* of a stream's bytes that nghttp2 has not taken */
#define H2_FRAME_HEAD 9u			/* bytes of a frame before its payload */
#define H2_FIRST_STREAMS 100u		/* of a client, until the peer has said how many */
#define H2_LINGER ADIT_SECONDS(30)	/* what a closed stream may take to send the rest */

struct h2;
struct h2_stream;

struct h2_role {
	unsigned		 kind;		/* of conns: 0, or ADIT_CONN_EXCHANGE */
	bool			 client;
	bool			 cancel_ends;	/* CANCEL of a peer that has ended says that it only
						 * reads no more */
	size_t			 session_size, stream_size;
	const struct adit_conn_ops *stream_ops;	/* an exchange's: the first of its table */

	/* Client: the owner opens s. 0, or -ENOMEM, ADIT_ELIMIT. */
	int			(*open)(struct h2_stream *s);

	/* optional: the session is open, perhaps with s in it */
	void			(*opened)(struct h2_stream *s);

	/* optional: a head of s begins, or trailers */
	void			(*begin)(struct h2_stream *s);

	/* One field of it. 0, or an error of nghttp2's. */
	int			(*field)(struct h2_stream *s, struct adit_text name,
					 struct adit_text value);

	/* It is whole, and can be believed as far as nghttp2 checks. */
	void			(*head)(struct h2_stream *s);

	/* optional: a head has left; s may have been waiting for that */
	void			(*sent)(struct h2_stream *s);

	/* optional: all bytes have been given out: whether trailers follow, which it submits */
	bool			(*trail)(struct h2_stream *s);
};

/* What differs between sessions of a role. */
struct h2_setup {
	unsigned		 streams;	/* server: most at a time */
	unsigned		 backlog;	/* not yet accepted; more are refused */
	size_t			 head_max;	/* of a head, as the peer is told */
	uint64_t		 head_timeout;	/* server: ns for a head; 0: none */
	uint64_t		 idle_timeout;	/* server: ns without a stream that has an owner;
						 * 0: none */
	bool			 extended;	/* server: RFC 8441 */
};

/* What a peer may do without a use for it, so often at once and so often in each second after. */
struct h2_allowance {
	double			 left;
	uint64_t		 at;
};

struct h2_stream {
	struct adit_conn	 base;
	struct h2		*session;	/* NULL once it has ended or forgotten us */
	TAILQ_ENTRY(h2_stream)	 entry;		/* in session->streams */
	TAILQ_ENTRY(h2_stream)	 wait;		/* in session->backlog or ->lingering */
	int32_t			 id;		/* 0: nghttp2 was not told of it yet */
	bool			 counted;	/* client: in n_opened */
	bool			 faulty;	/* the peer was told that it did wrong on it */
	bool			 answered;	/* server: the head of our answer has left */
	bool			 headless;	/* server: the request is not whole; nobody's */
	bool			 in_backlog, lingering;
	bool			 closed;	/* its owner has gone; the rest is being sent */
	bool			 gone;		/* nghttp2 knows it no more */
	bool			 in_ended;	/* no more comes */
	bool			 fin;		/* ... and nobody reads at the other end */
	bool			 ending;	/* END_STREAM behind what is in out */
	bool			 finished;	/* ... has left */
	bool			 idle;		/* nghttp2 waits for bytes of ours */

	struct queue		 in, out;
	struct mux_window	 pace;		/* the window, and how fast it is read */
	size_t			 owed;		/* of it, not returned yet */
	uint64_t		 deadline;	/* of lingering */
};

TAILQ_HEAD(h2_streams, h2_stream);

struct h2 {
	struct adit_mux		 base;
	struct adit_conn	*lower;		/* NULL once the session has ended */
	const struct h2_role	*role;
	struct h2_setup		 setup;
	nghttp2_session		*ng;		/* there as long as this */
	struct h2_streams	 streams, backlog;
	struct h2_streams	 lingering;	/* closed, with something to send, oldest first */
	unsigned		 n_backlog;
	unsigned		 n_closed;	/* streams without an owner */
	unsigned		 n_opened;	/* client: those that nghttp2 knows, or will */
	size_t			 grown;		/* of all windows */
	struct queue		 out;		/* frames that lower has not taken */
	bool			 open;
	bool			 closing;	/* its owner has gone; the rest is being sent */
	bool			 terminated;	/* ... and the GOAWAY behind it is queued */
	bool			 paused;	/* lower is not read */
	bool			 blocked;	/* lower took less than it was given */
	bool			 settled;	/* the peer's SETTINGS have come */
	bool			 peer_drains;	/* it has sent GOAWAY */
	bool			 drain_heard;	/* it has answered what followed ours */
	struct h2_allowance	 resets, noise;
	unsigned		 continued;	/* frames that went on with a head's first */
	uint64_t		 heading;	/* since when a head is coming; 0: none */
	uint64_t		 idle_since;	/* 0: there are streams that have an owner */
	bool			 was_idle;	/* for too long: that ends it */
	uint32_t		 goaway;	/* its code */
	char			 fault[96];	/* what it did wrong; "": nothing */

	struct mux_question	 question;	/* whether the peer answers */
	uint64_t		 pinged;	/* what the PING under way says; 0: none is */
	uint64_t		 drain_ping;	/* what the one behind our GOAWAY says */
	uint64_t		 rtt;		/* shortest; 0: unknown */

	struct adit_timer	*timer;
	uint64_t		 wake_at;	/* when it runs out; 0: it does not run */
	uint64_t		 resumed_at;	/* lower was not read until then */
	uint64_t		 close_at;	/* UINT64_MAX: never */
};

/* ---- h2.c ---- */

/*
 * A session over lower, which may still be opening and is owned from now on, also when NULL is
 * returned (out of memory). role is borrowed until it is freed; what of its own a role keeps in a
 * session is zeroed.
 */
struct h2 *h2_new(struct adit_conn *lower, const struct h2_role *role,
		  const struct h2_setup *setup);

/* Asks lower for what the session needs now. */
void h2_want(struct h2 *h);

/* Runs the timer at that time at the latest. */
void h2_wake_at(struct h2 *h, uint64_t at);

/* The last stream that had an owner has none. */
void h2_emptied(struct h2 *h);

/* ---- h2_frames.c ---- */

/* Makes nghttp2's part, and queues our first frames. 0, or an error of nghttp2's. */
int h2_frames_init(struct h2 *h);

/* A PING, unless one is under way. */
void h2_ping(struct h2 *h);

/* The peer has cost us something for nothing: a stream that was reset, a frame that says little. */
void h2_count_reset(struct h2 *h);
void h2_count_noise(struct h2 *h);

/* The stream of a request that is whole waits to be accepted; false: there are too many. */
bool h2_offer(struct h2_stream *s);

/* ---- h2_stream.c ---- */

/* As conn_ops, for roles. */
ssize_t h2_stream_read(struct adit_conn *c, void *buf, size_t len);
size_t h2_stream_pour(struct adit_conn *c, struct adit_conn *to, size_t len);
ssize_t h2_stream_writev(struct adit_conn *c, const struct iovec *iov, int n);
int h2_stream_shutdown(struct adit_conn *c);
void h2_stream_free(struct adit_conn *c);
int h2_stream_delivery(struct adit_conn *c, struct adit_delivery *d);
const struct adit_certificate *h2_stream_certificate(struct adit_conn *c);

/* Its owner's last word: code is RST_STREAM's, 0: it ends behind what was taken. */
void h2_stream_close(struct h2_stream *s, uint32_t code);

/* A new stream of h's; NULL if out of memory. */
struct h2_stream *h2_stream_new(struct h2 *h);

/* Its answer has come, or it was asked for and is accepted: bytes may go. */
void h2_stream_opened(struct h2_stream *s);

/* Fails it for its owner, or closes it where it has none yet. */
void h2_stream_fail(struct h2_stream *s, int err);

/* The same while the session goes on: the peer is told that code. */
void h2_stream_cut(struct h2_stream *s, int err, uint32_t code);

/* Takes bytes that arrived. 0 or -ENOMEM. */
int h2_stream_receive(struct h2_stream *s, const void *buf, size_t len);

/* The peer's direction has ended. */
void h2_stream_end(struct h2_stream *s);

/* Our END_STREAM has left. */
void h2_stream_finished(struct h2_stream *s);

/* nghttp2 has closed it with that code, and knows it no more. */
void h2_stream_gone(struct h2_stream *s, uint32_t code);

/* Its time to send the rest is over. */
void h2_stream_expire(struct h2_stream *s);

/* Takes s out of the session: nothing more is sent or received for it. */
void h2_stream_forget(struct h2_stream *s);

/* Its bytes, for nghttp2_submit_request and _response. */
extern const nghttp2_data_provider h2_stream_bytes;

/* Those that it was told of: nghttp2_send_data_callback. */
int h2_stream_send(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
		   nghttp2_data_source *source, void *arg);

#endif
