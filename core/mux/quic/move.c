#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <adit/log.h>

#include "core/mux/quic/internal.h"

#define MOVE_PAUSE ADIT_MS(100)		/* until the peer has granted another connection id */

static bool
addr_is_any(const struct adit_addr *a)
{
	static const uint8_t any[16];

	return !memcmp(a->ip, any, sizeof(any));
}

static bool
addr_same_ip(const struct adit_addr *a, const struct adit_addr *b)
{
	return a->family == b->family && a->scope == b->scope &&
	       !memcmp(a->ip, b->ip, sizeof(a->ip));
}

/* What the kernel would send from: a socket that is connected is told, and nothing is sent. */
static bool
move_ask_kernel(const struct adit_addr *peer, struct adit_addr *from)
{
	struct sockaddr_storage sa;
	socklen_t len = adit_addr_to(peer, &sa);
	int fd = socket(peer->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known;

	if (fd < 0)
		return false;
	known = !connect(fd, (struct sockaddr *)&sa, len);
	len = sizeof(sa);
	known = known && !getsockname(fd, (struct sockaddr *)&sa, &len);
	close(fd);
	if (known)
		*from = adit_addr_from((struct sockaddr *)&sa, len);
	return known;
}

static bool
move_source(const struct quic_session *s, struct adit_addr *from)
{
	const struct quic_conf *conf = &s->ep->conf;
	const struct adit_addr *peer = adit_mux_remote(&s->base);
	bool known = conf->source ? conf->source(conf->arg, peer, from) :
				    move_ask_kernel(peer, from);

	from->port = adit_packet_local(s->ep->packet)->port;
	return known;
}

static void
move_network_changed(void *arg)
{
	quic_endpoint_moved(arg);
}

void
quic_session_settle(struct quic_session *s)
{
	struct quic_endpoint *ep = s->ep;

	if (!addr_is_any(adit_packet_local(ep->packet)))
		return;
	ep->network.changed = move_network_changed;
	ep->network.arg = ep;
	network_watch(&ep->network, ep->worker);
	if (!move_source(s, &s->sends_from))
		s->sends_from = (struct adit_addr){ .family = 0 };
}

/* Another one is made at once, over the way that there is now. */
static void
move_end(struct quic_session *s, uint64_t now)
{
	const struct adit_reason why = { .err = -ENETRESET,
		                         .text = "the way to the peer has changed" };
	ngtcp2_ccerr words;

	ngtcp2_ccerr_default(&words);
	quic_session_end(s, &why, &words, now);
}

static void
move_done(struct quic_session *s, const struct adit_addr *from)
{
	char before[ADIT_ADDR_TEXT], after[ADIT_ADDR_TEXT];

	adit_log(adit_worker_log(s->ep->worker), ADIT_LOG_DEBUG, NULL,
		 "quic session: moved from %s to %s", adit_addr_format_ip(&s->sends_from, before),
		 adit_addr_format_ip(from, after));
	s->sends_from = *from;
	adit_mux_set_local(&s->base, from);
	s->probing = true;	/* a probe of the path alone would not have the server follow */
	quic_dirty(s);
}

/*
 * The socket is bound to no address, so the kernel has moved what we send already. Until the move
 * can be made properly (with an unused connection id and a path that is measured anew) it chooses
 * the source: that of a path that we had moved to may be gone.
 */
static void
move_later(struct quic_session *s, uint64_t now)
{
	struct sockaddr_storage any;
	ngtcp2_addr local = { (ngtcp2_sockaddr *)&any,
		              adit_addr_to(adit_packet_local(s->ep->packet), &any) };

	ngtcp2_conn_set_local_addr(s->conn, &local);
	s->move_at = now + MOVE_PAUSE;
	quic_dirty(s);
}

/*
 * At once, without asking whether the new way leads anywhere: the old one is none any more, since
 * the kernel takes what we send the new way.
 */
bool
quic_session_move(struct quic_session *s, uint64_t now)
{
	struct adit_addr from;
	struct quic_path to;

	if (s->state == QUIC_ENDED || !addr_is_any(adit_packet_local(s->ep->packet)) ||
	    !move_source(s, &from) || addr_same_ip(&from, &s->sends_from))
		return false;
	if (s->state == QUIC_OPENING) {
		move_end(s, now);
		return true;
	}
	quic_path_set(&to, &from, adit_mux_remote(&s->base));
	switch (ngtcp2_conn_initiate_immediate_migration(s->conn, &to.path, now)) {
	case 0:
		move_done(s, &from);
		break;
	case NGTCP2_ERR_CONN_ID_BLOCKED:
		move_later(s, now);
		break;
	default:	/* RFC 9000, 9: not before the handshake is confirmed, nor if told not to */
		move_end(s, now);
		break;
	}
	return true;
}
