/*
 * What smux.c (the session: life, receiving, keepalive), smux_send.c (what is sent, in which order)
 * and smux_stream.c (streams as conns) share.
 */
#ifndef ADIT_CORE_MUX_SMUX_INT_H
#define ADIT_CORE_MUX_SMUX_INT_H

#include <sys/queue.h>

#include "core/mux/question.h"
#include "core/mux/smux.h"
#include "core/mux/window.h"
#include "core/runtime/idmap.h"
#include "core/runtime/queue.h"
#include "core/runtime/worker.h"
#include "core/wire/smux.h"

#define SMUX_TURN 262144u		/* most bytes moved each way per turn of the loop */
#define SMUX_OUT_CAP 65536u		/* of a stream's unsent bytes; at least one frame */
#define SMUX_OUT_BLOCKED 32768u			/* the same while its window is full */
#define SMUX_DIRECT 8192u		/* writes below are gathered rather than passed through */
#define SMUX_LINGER ADIT_SECONDS(30)	/* what a closed stream may take to send the rest */
#define SMUX_SESSION_LINGER ADIT_SECONDS(5)	/* and a closed session */

/* What a stream has to send beside data; each is one frame, in this order. */
enum smux_due {
	DUE_SYN = 1,
	DUE_UPD = 2,
	DUE_END = 4,		/* an empty PSH: the end of our direction */
	DUE_FIN = 8,
};

enum smux_place {
	PLACE_NONE,		/* nothing to send, or the peer's window is full */
	PLACE_READY,
	PLACE_HELD,		/* its share of the peer's session buffer is full */
};

struct smux;

struct smux_stream {
	struct adit_conn	 base;
	struct smux		*session;	/* NULL once it has ended or forgotten us */
	struct idmap_node	 node;		/* its id, in session->streams */
	TAILQ_ENTRY(smux_stream) control;	/* in session->control while SYN or UPD is due */
	TAILQ_ENTRY(smux_stream) data;		/* in session->ready or ->held, by place */
	TAILQ_ENTRY(smux_stream) wait;		/* in session->backlog or ->lingering: */
	bool			 in_backlog, lingering;
	uint8_t			 due;		/* enum smux_due */
	uint8_t			 planned_due;	/* of these, what the plan under way has */
	enum smux_place		 place;
	bool			 closed;	/* its owner has gone; the rest is being sent */
	bool			 in_ended;	/* no more comes */
	bool			 fin;		/* ... and nobody reads at the other end */
	bool			 finished;	/* our FIN has begun to leave */
	bool			 end_asked;	/* before it was known whether the peer takes one */

	struct queue		 in;		/* not read yet */
	uint32_t		 received, read;/* bytes, modulo 2^32 as on the wire */
	uint32_t		 reported;	/* read, as the last UPD said */
	uint32_t		 granted;	/* the window it gave */
	uint32_t		 limit;		/* most that received may become */
	struct mux_window	 pace;		/* how fast it is read */
	size_t			 grown;		/* what its window has beyond stream_buffer */
	uint32_t		 edge;		/* limit, before the last UPD */
	uint64_t		 told_at;	/* when that began to leave; 0: peer is beyond */

	struct queue		 out;		/* not sent yet */
	size_t			 planned;	/* of out, in the plan under way */
	uint32_t		 sent, consumed;/* consumed: as the peer's last UPD said */
	uint32_t		 window;	/* the peer's */
	bool			 updated;	/* it has told its window */
	uint64_t		 deadline;	/* of lingering */
};

TAILQ_HEAD(smux_streams, smux_stream);

/* One frame on its way down. */
struct smux_out {
	struct smux_stream	*stream;	/* NULL: bytes of session->raw */
	unsigned		 cmd;		/* enum smux_cmd */
	struct smux_upd		 upd;
	uint8_t			 head[SMUX_HEADER_LEN + SMUX_UPD_LEN];
	uint8_t			 head_len, head_sent;
	size_t			 payload;	/* bytes of it that are not sent */
};

struct smux {
	struct adit_mux		 base;
	struct adit_conn	*lower;		/* NULL once the session has ended */
	struct smux_conf	 conf;
	struct idmap		 streams;
	uint64_t		 next_id;	/* to open with; beyond 32 bits: no room */
	bool			 open;
	bool			 closing;	/* its owner has gone; the rest is being sent */
	bool			 adit;		/* the peer is one */
	bool			 peer_drains;	/* it asked for no more streams */
	bool			 drain_said;	/* we did */
	bool			 drain_heard;	/* it has answered that we did */
	bool			 paused;	/* lower is not read */
	bool			 blocked;	/* lower took less than it was given */

	/* receiving */
	uint8_t			 head[SMUX_HEADER_LEN + SMUX_UPD_LEN];
	size_t			 head_len;
	size_t			 payload;	/* left of the PSH that is arriving */
	struct smux_stream	*into;		/* where it belongs; NULL: nowhere */
	size_t			 unread;	/* bytes of all streams */
	size_t			 holding;	/* streams that have some */
	size_t			 promised;	/* what may still come within all windows */
	size_t			 grown;		/* of all streams */
	uint64_t		 rtt;		/* of a peer that waited for an UPD; 0: unknown */
	struct smux_streams	 backlog;
	unsigned		 n_backlog;

	/* sending */
	struct smux_out		 part;		/* a frame sent in part; head_len 0: none */
	struct queue		 raw;		/* NOPs, and FINs for streams we never had; of
						 * the first some may be sent */
	struct smux_streams	 control, ready, held;
	struct smux_streams	 lingering;	/* closed, with something to send, oldest first */
	size_t			 n_closed;	/* streams without an owner */
	size_t			 inflight;	/* sent, not known to be consumed; of all */

	struct mux_question	 question;	/* whether the peer answers */

	/* time */
	struct adit_timer	*timer;
	uint64_t		 wake_at;	/* when it runs out; 0: it does not run */
	uint64_t		 resumed_at;	/* lower was not read until then */
	uint64_t		 nop_at, close_at;	/* UINT64_MAX: never */
	uint32_t		 probe;		/* the last id probed with */
};

/* ---- smux.c ---- */

/* Ends the session and all its streams with err; text may be NULL. After it lower is NULL. */
void smux_fail(struct smux *m, int err, const char *text);

/* Asks lower for what the session needs now. */
void smux_want(struct smux *m);

/* Some pressure on receiving has gone. */
void smux_relax(struct smux *m);

/* The window to grant s now. */
uint32_t smux_grant(const struct smux *m, const struct smux_stream *s);

/* How much more the window of s may grow. */
size_t smux_growth(const struct smux *m, const struct smux_stream *s);

/* Closes a session whose owner has gone when nothing is left to send. */
void smux_close_drained(struct smux *m);

/* Runs the timer at that time at the latest. */
void smux_wake_at(struct smux *m, uint64_t at);

/* ---- smux_send.c ---- */

bool smux_pending(const struct smux *m);

/* Sends what may be sent. The session may have ended afterwards. */
void smux_flush(struct smux *m);

/*
 * Sends bytes for s past its queue, which must be empty. Returns how many were taken, 0 if none
 * could be, or a failure, and the session has ended.
 */
ssize_t smux_pass(struct smux *m, struct smux_stream *s, const struct iovec *iov, int n);

/* Queues a frame without a stream of ours. 0, or the session has ended. */
int smux_send_raw(struct smux *m, enum smux_cmd cmd, uint32_t id);

/* s owes the peer that frame. */
void smux_due(struct smux *m, struct smux_stream *s, enum smux_due due);

/* How much s may queue now: little where the peer's window is what stops it. */
size_t smux_out_cap(const struct smux *m, const struct smux_stream *s);

/* Puts s where what it has to send belongs. */
void smux_place(struct smux *m, struct smux_stream *s);

/* Takes s from all lists of what is to be sent. */
void smux_unplace(struct smux *m, struct smux_stream *s);

/* Room has come back to the session: those held may try again. */
void smux_unhold(struct smux *m);

/* Drops what s has queued, but for the rest of a frame that has begun. */
void smux_drop_queued(struct smux *m, struct smux_stream *s);

/* ---- smux_stream.c ---- */

/* A new stream in the table; NULL if out of memory. */
struct smux_stream *smux_stream_new(struct smux *m, uint32_t id);

/* The session below is open. */
void smux_stream_opened(struct smux_stream *s);

/* Takes bytes that arrived. 0 or -ENOMEM. */
int smux_stream_receive(struct smux_stream *s, const void *buf, size_t len);

/* The peer's direction has ended; fin: both have. */
void smux_stream_end(struct smux_stream *s, bool fin);

/* Fails it for its owner, or closes it where it has none yet. */
void smux_stream_fail(struct smux_stream *s, int err);

/* The peer's UPD. */
void smux_stream_update(struct smux_stream *s, const struct smux_upd *u);

/* Its time to send the rest is over. */
void smux_stream_expire(struct smux_stream *s);

/* Takes s out of the session: nothing more is sent or received for it. */
void smux_stream_forget(struct smux_stream *s);

#endif
