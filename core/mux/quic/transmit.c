#include "core/mux/quic/internal.h"
#include "core/runtime/timers.h"

#define BLOCKED_TRIES 4
#define ARM_SLACK     ADIT_MS(8)	/* by which a timer may run out too early, for nothing */
#define PROBE_ALONE   64		/* bytes: a packet with nothing but a PING has less */

void
quic_chan_unlist(struct quic_chan *c)
{
	if (!c->list)
		return;
	TAILQ_REMOVE(c->list, c, turn);
	c->list = NULL;
}

void
quic_chan_send(struct quic_chan *c)
{
	struct quic_session *s = c->session;

	if (!c->list) {
		c->list = &s->sending;
		TAILQ_INSERT_TAIL(c->list, c, turn);
	}
	quic_dirty(s);
}

/*
 * A stream blocked by its window is not told of a STOP_SENDING (ngtcp2 1.11 has no callback for
 * it): a few are tried again in each turn.
 */
static void
transmit_retry_blocked(struct quic_session *s)
{
	struct quic_chan *c;

	for (int i = 0; i < BLOCKED_TRIES && (c = TAILQ_FIRST(&s->blocked)); i++) {
		quic_chan_unlist(c);
		c->list = &s->sending;
		TAILQ_INSERT_TAIL(c->list, c, turn);
	}
}

/*
 * One packet: frames of as many streams and flows as it takes. Its length, 0: nothing to send now,
 * or an error.
 */
static ngtcp2_ssize
transmit_packet(struct quic_session *s, struct quic_writing *w)
{
	struct quic_chan *c;
	ngtcp2_ssize n;

	while (s->state == QUIC_OPEN && (c = TAILQ_FIRST(&s->sending))) {
		w->more = TAILQ_NEXT(c, turn) ? NGTCP2_WRITE_STREAM_FLAG_MORE : 0;
		n = c->is_flow ? quic_flow_write(quic_flow_of(c), w) :
				 quic_stream_write(quic_stream_of(c), w);
		if (n != NGTCP2_ERR_WRITE_MORE)
			return n;
	}
	return ngtcp2_conn_writev_stream(s->conn, w->path, w->pi, w->dest, w->len, NULL,
					 NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, w->now);
}

/*
 * The next moment that is a multiple of at most 1/32 of the time until then (a power of 2):
 * sessions of which the same happens at about the same time have it in common.
 */
static uint64_t
transmit_about(uint64_t now, uint64_t at)
{
	uint64_t most = (at - now) / 32;

	if (at - now > ADIT_SECONDS(3600) || !most)
		return at;
	return timer_round(at, UINT64_C(1) << (63 - __builtin_clzll(most)));
}

/*
 * The timer runs out when ngtcp2 next wants to be called; it is set anew when that comes earlier,
 * or so much later that it would be worth it.
 */
static void
transmit_arm(struct quic_session *s, uint64_t now, bool wrote)
{
	uint64_t expiry = ngtcp2_conn_get_expiry(s->conn), due = quic_session_due(s);

	if (expiry <= now) {
		if (wrote) {
			quic_dirty(s);
			return;
		}
		expiry = now + ADIT_MS(1);	/* never a loop that writes nothing */
	}
	if (due < expiry)
		expiry = due > now ? due : now;
	expiry = transmit_about(now, expiry);
	if (expiry >= s->armed && (s->armed == UINT64_MAX || expiry - s->armed < ARM_SLACK))
		return;
	s->armed = expiry;
	timer_set_at(s->timer, expiry);
}

static uint64_t
transmit_in_flight(const struct quic_session *s)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(s->conn, &info);
	return info.bytes_in_flight;
}

/*
 * Packets until there are no more, or the quantum is used up. False: the socket takes no more. < 0
 * in *err.
 */
static bool
transmit_burst(struct quic_session *s, uint64_t now, size_t *sent, int *err)
{
	size_t quantum = ngtcp2_conn_get_send_quantum(s->conn);
	size_t max = ngtcp2_conn_get_max_tx_udp_payload_size(s->conn);
	ngtcp2_path_storage path;

	ngtcp2_path_storage_zero(&path);
	while (*sent < quantum) {
		uint8_t *to = quic_tx_room(s->ep, max);
		ngtcp2_pkt_info pi = { 0 };
		struct quic_writing w = {
			.path = &path.path, .pi = &pi, .dest = to, .len = max, .now = now,
		};
		ngtcp2_ssize n;

		if (!to)
			return false;
		n = transmit_packet(s, &w);
		if (n < 0)
			*err = (int)n;
		if (n <= 0)
			break;
		quic_tx_add(s->ep, &path.path, pi.ecn, (size_t)n);
		s->key_sent++;
		*sent += (size_t)n;
	}
	return true;
}

/*
 * As transmit_burst, with something in it that the peer must acknowledge. A keep-alive that is due
 * is a PING, but ngtcp2 adds it only to a packet that would be empty else: an ACK that was due
 * takes its place. Only what must be acknowledged is in flight.
 *
 * One PING alone would be answered when the peer's ACK delay is over, by a timer there and another
 * turn of the loop here: two are answered at once (RFC 9000, 13.2.2), and leave and arrive as one.
 * The second is due a nanosecond later: *now is, from then on.
 */
static bool
transmit_probe(struct quic_session *s, uint64_t *now, size_t *sent, int *err)
{
	uint64_t before = transmit_in_flight(s), after;
	bool room;

	ngtcp2_conn_set_keep_alive_timeout(s->conn, 1);
	room = transmit_burst(s, *now, sent, err);
	after = transmit_in_flight(s);
	if (room && !*err && after > before && after - before < PROBE_ALONE)
		room = transmit_burst(s, ++*now, sent, err);
	ngtcp2_conn_set_keep_alive_timeout(s->conn, s->params.keep_alive);
	s->probing = after <= before;
	if (s->probing && *sent)
		quic_dirty(s);
	return room;
}

/*
 * Changes the keys long before they are worn out. ngtcp2 does so at the very last packet that they
 * may encrypt, and ends the session if it cannot be then: the change before has to be acknowledged,
 * and three PTO old. Here it is tried again with the next burst.
 */
static void
transmit_rekey(struct quic_session *s, uint64_t now)
{
	if (s->keys_made &&
	    (s->key_sent >= s->params.key_packets || now - s->key_since >= s->params.key_life))
		ngtcp2_conn_initiate_key_update(s->conn, now);
}

bool
quic_transmit(struct quic_session *s, uint64_t now)
{
	bool room;
	size_t sent = 0;
	int err = 0;

	if (!quic_session_do_due(s, now))
		return true;
	if (ngtcp2_conn_get_expiry(s->conn) <= now)
		err = ngtcp2_conn_handle_expiry(s->conn, now);
	if (err) {
		quic_session_error(s, err, now);
		return true;
	}
	if (s->state == QUIC_OPEN) {
		quic_streams_number(s);
		transmit_rekey(s, now);
	}
	transmit_retry_blocked(s);
	if (s->probing && s->state == QUIC_OPEN)
		room = transmit_probe(s, &now, &sent, &err);
	else
		room = transmit_burst(s, now, &sent, &err);
	adit_mux_moved(&s->base, 0, sent);
	if (err) {
		quic_session_error(s, err, now);
		return true;
	}
	if (sent)
		ngtcp2_conn_update_pkt_tx_time(s->conn, now);
	if (room)
		transmit_arm(s, now, sent);
	return room;
}
