/*
 * Relay messages on conns: reading one, and the layer that exchanges heads and is transparent from
 * then on. See core/wire/relay.h for the bytes.
 */
#ifndef ADIT_CORE_RELAY_CONN_H
#define ADIT_CORE_RELAY_CONN_H

#include <adit/conn.h>

#include "core/tunnel/collect.h"
#include "core/wire/relay.h"

/*
 * Reads on, r zeroed before. 1: the message is in out (its texts borrowed from r until
 * collected_fini), and nothing behind it was read. -EAGAIN: more is to come. Else a failure:
 * -EBADMSG with *why (static), -ECONNRESET for an end inside or before the message, or c's own.
 */
int relay_read(struct collected *r, struct adit_conn *c, struct relay_msg *out, const char **why);

/* What a response's status means for us, and back. 0 is 0. */
int relay_status_error(unsigned status);
unsigned relay_error_status(int err);

/*
 * Queues a message to be sent on a conn that can surely take it (a new one). 0, or a failure.
 */
int relay_send(struct adit_conn *c, const struct relay_msg *m);

/* Called with the peer's message before the conn opens; a failure it returns becomes the conn's. */
typedef int relay_head_cb(void *arg, struct adit_conn *c, const struct relay_msg *m);

/*
 * A conn over lower (owned, also on failure; may still be opening) that sends request when lower is
 * open (NULL: nothing), waits for a message of the response's shape, and opens when it came with
 * status 0 and head agreed (NULL: always). Of request, which is copied, a first ADDR without a type
 * is filled with our own address. Fails after ms. NULL: out of memory.
 */
struct adit_conn *relay_conn(struct adit_conn *lower, const struct relay_msg *request, unsigned ms,
			     relay_head_cb *head, void *arg);

/*
 * The same, but open as soon as the request is sent: bytes for the target go before the answer,
 * which stands in front of the first that come back. A gost's relay handler answers no sooner than
 * its target says something. A refusal is then what reading fails with. ms: for the request.
 */
struct adit_conn *relay_conn_early(struct adit_conn *lower, const struct relay_msg *request,
				   unsigned ms);

/* Of an open relay conn: gives up the conn below and ends c, which has done its work. */
struct adit_conn *relay_conn_unwrap(struct adit_conn *c);

/*
 * A head() for streams that a tunnel's server opened: ADDR 1 is who comes, ADDR 2 what he asked
 * for.
 */
relay_head_cb relay_stream_head;

#endif
