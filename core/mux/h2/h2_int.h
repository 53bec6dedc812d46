/*
 * What h2.c (the session: life, what comes and goes), h2_head.c (requests and their answers) and
 * h2_stream.c (streams as conns) share.
 */
#ifndef ADIT_CORE_MUX_H2_INT_H
#define ADIT_CORE_MUX_H2_INT_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include "core/mux/h2/h2.h"
#include "core/mux/question.h"
#include "core/mux/window.h"
#include "core/runtime/queue.h"
#include "core/runtime/worker.h"

#define H2_WINDOW 65536u		/* of a stream, at first */
#define H2_WINDOW_MAX (8u << 20)	/* for a round trip of 100 ms and 600 Mbit/s */
#define H2_GROWN_MAX (16u << 20)	/* of all windows of a session, beyond the first */
#define H2_OUT_CAP 65536u		/* of a stream's bytes that nghttp2 has not taken */
#define H2_HEAD_MAX 16384u		/* bytes of fields that are taken of a stream's heads */
#define H2_LINGER ADIT_SECONDS(30)	/* what a closed stream may take to send the rest */

struct h2;

struct h2_stream {
	struct adit_conn	 base;
	struct h2		*session;	/* NULL once it has ended or forgotten us */
	TAILQ_ENTRY(h2_stream)	 entry;		/* in session->streams */
	TAILQ_ENTRY(h2_stream)	 wait;		/* in session->backlog or ->lingering */
	int32_t			 id;
	int			 status;	/* client: of the answer; 0: none yet */
	bool			 connects;	/* server: the method is CONNECT */
	bool			 found;		/* server: the path is ours */
	size_t			 head;		/* bytes of fields that have come */
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
	const struct h2_conf	*conf;
	nghttp2_session		*ng;		/* there as long as this */
	struct h2_streams	 streams, backlog;
	struct h2_streams	 lingering;	/* closed, with something to send, oldest first */
	unsigned		 n_backlog;
	unsigned		 n_closed;	/* streams without an owner */
	unsigned		 n_opened;	/* client: those that nghttp2 knows */
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
	double			 resets;	/* that the peer has left, at resets_at */
	uint64_t		 resets_at;
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

/* Asks lower for what the session needs now. */
void h2_want(struct h2 *h);

/* Runs the timer at that time at the latest. */
void h2_wake_at(struct h2 *h, uint64_t at);

/* Goes on with the end of a session whose owner has gone, when no stream has to send any more. */
void h2_close_drained(struct h2 *h);

/* ---- h2_head.c ---- */

/* Asks for a new stream, whose id it sets. 0, or -ENOMEM, ADIT_ELIMIT. */
int h2_head_request(struct h2 *h, struct h2_stream *s);

/* nghttp2's callbacks that are about heads. */
void h2_head_callbacks(nghttp2_session_callbacks *cb);

/*
 * A head of s is whole; of a client's the answer or another one, of a server's the request, or
 * trailers.
 */
void h2_head_done(struct h2 *h, struct h2_stream *s);

/* ---- h2_stream.c ---- */

/* A new stream of h's; NULL if out of memory. */
struct h2_stream *h2_stream_new(struct h2 *h);

/* Its answer has come, or it was asked for and is accepted: bytes may go. */
void h2_stream_opened(struct h2_stream *s);

/* Fails it for its owner, or closes it where it has none yet. */
void h2_stream_fail(struct h2_stream *s, int err);

/* The same while the session goes on for what others have to send: the peer is told too. */
void h2_stream_cut(struct h2_stream *s, int err);

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

/* Bytes for nghttp2, as nghttp2_data_source_read_callback. */
ssize_t h2_stream_give(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
		       nghttp2_data_source *source, void *arg);

#endif
