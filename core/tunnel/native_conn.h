/*
 * adit/1 on conns (docs/protocol.md): reading and sending a message, statuses, and the layer over a
 * stream that begins with an OPEN and is answered. It is the one conn of a visitor, also where his
 * datagrams go in a flow beside the stream.
 */
#ifndef ADIT_CORE_NATIVE_CONN_H
#define ADIT_CORE_NATIVE_CONN_H

#include <sys/queue.h>

#include <adit/conn.h>

#include "core/tunnel/collect.h"
#include "core/wire/native.h"

/* Whether c is a stream of a session that agreed on it. */
bool native_speaks(struct adit_conn *c);

/* As relay_read: 1: a message is in out; -EAGAIN; -EBADMSG with *why; or a failure. */
int native_read(struct collected *r, struct adit_conn *c, struct native_msg *out,
		const char **why);

/* Queues a message on a conn that can surely take it (a new one). 0, or a failure. */
int native_send(struct adit_conn *c, const struct native_msg *m);

/* Queues an answer, and for a refusal ends c, politely. */
void native_refuse(struct adit_conn *c, int err, const char *text);

/* The same without the end: to be closed with what this returns, 0 or why it cannot be sent. */
int native_send_refusal(struct adit_conn *c, int err, const char *text);

/* What a status, or the code of a reset stream, means for us, and back. 0 is 0. */
int native_status_error(uint64_t status);
uint64_t native_error_status(int err);

/* Who comes and what he asks for, as fields of an OPEN. False: it has no encoding. */
bool native_set_visitor(struct native_msg *m, const struct adit_addr *from, const char *host,
			uint16_t port);
void native_set_flow(struct native_msg *m, const struct adit_conn *flow);
struct adit_addr native_visitor(const struct native_msg *m);

/* ---- the layer ------------------------------------------------------------------ */

struct native_conn;
TAILQ_HEAD(native_conns, native_conn);

/* The visitors of one bind. */
struct native_group {
	struct native_conns	 list;
	unsigned		 n;
	struct adit_traffic	 left;		/* of those that are not in it any more */
};

void native_group_init(struct native_group *g);

/* What all that were ever in it have carried. */
struct adit_traffic native_group_traffic(const struct native_group *g);

/* All of them fail with err and are of no group any more. */
void native_group_fail(struct native_group *g, int err);

/*
 * A conn over lower (owned, also on failure; may still be opening) that sends m, an OPEN, and opens
 * when the answer agrees, or fails with what it says. flow (owned too, or NULL) carries the
 * visitor's datagrams then. Fails after ms. If conn_set_early is called what is written follows m
 * at once. NULL: out of memory.
 */
struct adit_conn *native_ask(struct adit_conn *lower, struct adit_conn *flow,
			     const struct native_msg *m, unsigned ms);

/* Called with the OPEN before the conn opens; a failure it returns is what the peer is told. */
typedef int native_head_cb(void *arg, struct adit_conn *c, const struct native_msg *m);

/*
 * A conn over lower (owned, also on failure) that opens when an OPEN came and head agreed. What it
 * is told with adit_conn_agree, or by being closed, is the answer. Fails after ms. NULL: out of
 * memory.
 */
struct adit_conn *native_answer(struct adit_conn *lower, unsigned ms, native_head_cb *head,
				void *arg);

/* The same, where the OPEN was read already: it is open. */
struct adit_conn *native_answer_to(struct adit_conn *lower, const struct native_msg *m);

/*
 * Takes a stream that the peer opened in a session in which nobody here waits for one: what it asks
 * for is refused. Either way a DRAIN at its beginning goes for the whole session, which is drained,
 * and its owner told by adit_mux_peer_drains.
 */
void native_stray(struct adit_conn *stream);

/* Of an open one whose OPEN came: the number of the bind that it names. */
uint64_t native_conn_bind(struct adit_conn *c);

/* Of either: it is of g from now on, until it is closed. */
void native_conn_join(struct adit_conn *c, struct native_group *g);

#endif
