/*
 * A packet_conn: a socket with many peers, moving datagrams in batches. A UDP socket, or something
 * tunnelled that looks like one. QUIC endpoints stand on it.
 */
#ifndef ADIT_PACKET_H
#define ADIT_PACKET_H

#include <adit/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One datagram, or several of equal size (the last may be shorter) that the kernel joined or will
 * cut.
 */
struct adit_packet {
	struct iovec		data;
	struct adit_addr	from, to;	/* of both ends, as it goes; the own one may have
						 * family 0 to send: the kernel's choice */
	uint16_t		segment;	/* size of each datagram in data; 0: data is one */
	uint8_t			ecn;		/* the two ECN bits */
};

#define ADIT_QUOTE_MAX 24

/* What the network says of one destination. */
struct adit_trouble {
	int			err;		/* < 0 */
	struct adit_addr	peer;
	uint8_t			quote_len;	/* 0: whoever said it has not shown what it is of */
	uint8_t			quote[ADIT_QUOTE_MAX];	/* how the datagram began that was sent */
};

struct adit_packet_conn;

/* What a kind of packet_conn implements. Called through the wrappers below, on its worker. */
struct adit_packet_ops {
	size_t		 size;		/* of this table: what lies beyond its end is NULL */
	const char	*name;		/* "udp", ...: for the log */

	/*
	 * Fills at most n of v, each with room in data, whose iov_len becomes the length that came;
	 * returns how many (0: try again), -EAGAIN or a failure.
	 */
	int		(*recv)(struct adit_packet_conn *p, struct adit_packet *v, int n);

	/*
	 * Sends v in order; returns how many were taken, -EAGAIN or a failure. A failure about one
	 * destination (unreachable, too big) counts as taken and is told by adit_packet_trouble.
	 */
	int		(*send)(struct adit_packet_conn *p, const struct adit_packet *v, int n);

	/* The owner's last word; then free, once no caller is on the stack. */
	void		(*close)(struct adit_packet_conn *p);
	void		(*free)(struct adit_packet_conn *p);

	/* optional: the next failure that was about one destination, in t; false: none */
	bool		(*trouble)(struct adit_packet_conn *p, struct adit_trouble *t);
};

struct adit_packet_core;

struct adit_packet_conn {			/* first member of every kind */
	const struct adit_packet_ops	*ops;
	struct adit_packet_core		*core;
};

/* events: ADIT_READ, ADIT_WRITE. Called as adit_conn_cb is. */
typedef void adit_packet_cb(void *owner, struct adit_packet_conn *p, unsigned events);

/* As adit_conn_own and adit_conn_want. */
void adit_packet_own(struct adit_packet_conn *p, adit_packet_cb *cb, void *owner);
void adit_packet_want(struct adit_packet_conn *p, unsigned events);

/* As the operations above; trouble is to be asked after recv and send. */
int adit_packet_recv(struct adit_packet_conn *p, struct adit_packet *v, int n);
int adit_packet_send(struct adit_packet_conn *p, const struct adit_packet *v, int n);
bool adit_packet_trouble(struct adit_packet_conn *p, struct adit_trouble *t);

/* As their namesakes in conn.h. NULL may be closed. */
void adit_packet_close(struct adit_packet_conn *p);
struct adit_worker *adit_packet_worker(const struct adit_packet_conn *p);
const struct adit_addr *adit_packet_local(const struct adit_packet_conn *p);

/* For implementers, as their namesakes in conn.h. */
void *adit_packet_new(struct adit_worker *w, const struct adit_packet_ops *ops, size_t size);
void adit_packet_ready(struct adit_packet_conn *p, unsigned events);
void adit_packet_set_local(struct adit_packet_conn *p, const struct adit_addr *a);

#ifdef __cplusplus
}
#endif
#endif
