/*
 * A UDP socket as a packet_conn: many peers or, connected, one. What one call sends or receives is
 * a batch: UDP_SEGMENT (GSO) and sendmmsg out, UDP_GRO and recvmmsg in. Where the kernel or the
 * interface lacks GSO the same packets are cut here, where it lacks GRO each datagram comes alone;
 * callers see no difference.
 *
 * Received packets carry the own address they were sent to and their ECN bits; a packet with `from`
 * set leaves from that address. A socket for IPv6 carries IPv4 too (dual stack) unless v6only; both
 * are plain struct adit_addr above.
 *
 * Trouble with one destination (ICMP unreachable, too big for the interface) fails no call:
 * adit_packet_trouble tells it.
 */
#ifndef ADIT_CORE_UDP_H
#define ADIT_CORE_UDP_H

#include <adit/err.h>
#include <adit/packet.h>

/* The most one packet with a segment size may hold: what the kernel takes in one send. */
#define UDP_SEGMENTS_MAX 64
#define UDP_BYTES_MAX	 65487		/* 65535 less an IPv6 header and a UDP header */

/* With GRO one received packet may be that long: data.iov_len has to be, or it is dropped. */
#define UDP_RECV_MAX	 65535

/* The most packets one recv or send moves. */
#define UDP_BATCH	 16

struct udp_conf {
	struct adit_addr	bind;	/* port 0: any; family 0: taken from connect */
	struct adit_addr	connect;/* family 0: many peers */
	bool			reuseport;	/* one of several sockets of that address */
	bool			v6only;		/* an IPv6 socket without IPv4 */
	bool fragment; /* let the network fragment; else DF is set (path MTU discovery) */
	bool			no_gso, no_gro;	/* do as if the kernel had none */
	int buffer; /* bytes of each kernel buffer; 0: 4 MiB, as far as allowed */
};

/* A bound (and connected) socket of w, ready. NULL with e filled. */
struct adit_packet_conn *
udp_open(struct adit_worker *w, const struct udp_conf *conf, struct adit_err *e);

/*
 * The same over a socket that exists already (inherited): takes fd, also when it fails. bind is not
 * looked at.
 */
struct adit_packet_conn *udp_adopt(struct adit_worker *w, int fd, const struct udp_conf *conf,
				   struct adit_err *e);

/* Where in a datagram the byte is that tells its socket: that byte modulo their number. */
struct udp_steer {
	unsigned	offset;		/* in one whose first bit is 0 */
	unsigned	offset_if_set;	/* in one whose first bit is 1 */
	unsigned	sockets;	/* in the group; not 0 */
};

/*
 * Has the kernel choose among the sockets of a SO_REUSEPORT group by a byte of each datagram, in
 * the order of binding: QUIC packets, whose destination connection id begins at one place in short
 * headers and at another in long ones (RFC 8999, section 5). One that is too short for the byte
 * goes to the first. One call for the group. An optimisation: 0, or -errno where it cannot be.
 */
int udp_steer_by_byte(struct adit_packet_conn *p, const struct udp_steer *by);

/* Whether the kernel cuts and joins for us, as far as is known now. */
bool udp_has_gso(const struct adit_packet_conn *p);
bool udp_has_gro(const struct adit_packet_conn *p);

#endif
