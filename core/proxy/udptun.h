/*
 * The server's end of gost's udp-tun (core/wire/dgram.h): a stream that carries datagrams with
 * their addresses, to and from many peers. Either an association, which reaches the targets that
 * the client names, or a bound port, whose visitors are the client's to answer.
 */
#ifndef ADIT_CORE_UDPTUN_H
#define ADIT_CORE_UDPTUN_H

#include <adit/packet.h>
#include <adit/plugin.h>

struct udptun_conf {
	struct adit_handler	*handler;
	struct adit_packet_conn	*port;	/* the bound one, owned, also on failure; NULL: the client
					 * names targets, which are dialed through the chain */
	uint64_t		 ttl;	/* ns of silence that end the flow to a target; not 0 */
};

/* A bound port for it: family 0: all addresses of both. NULL with e filled. On w. */
struct adit_packet_conn *udptun_port(struct adit_worker *w, const struct adit_addr *at,
				     struct adit_err *e);

/*
 * Takes c, open, the answer sent. An activity of the handler's component until c has ended, then a
 * line in the log.
 */
void udptun_serve(struct adit_conn *c, const struct udptun_conf *conf);

#endif
