/*
 * A UDP port that is somewhere else: udp-tun frames (core/wire/dgram.h) in a conn of bytes, as a
 * packet_conn. It receives what the port does, from whom the frames say, and sends to whom a packet
 * is to go; which own address that uses is the other end's to say.
 */
#ifndef ADIT_CORE_UDPTUN_SOCKET_H
#define ADIT_CORE_UDPTUN_SOCKET_H

#include <adit/packet.h>

/*
 * Over lower, which is open and owned from now on, also on failure (NULL: out of memory). Datagrams
 * that have no frame are lost: empty ones; so are frames from a name. When lower has ended nothing
 * comes any more and what is sent is lost; ended(arg, err) is told that once (-ESHUTDOWN: in
 * order), in the middle of anything: it must not touch the packet_conn.
 */
struct adit_packet_conn *udptun_socket(struct adit_conn *lower, void (*ended)(void *arg, int err),
				       void *arg);

#endif
