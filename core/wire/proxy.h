/*
 * The PROXY protocol, versions 1 (a text line) and 2 (binary): one header at the very beginning of
 * a connection that says whose connection it really is. The specification is haproxy's
 * doc/proxy-protocol.txt.
 *
 *	1:  PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n
 *
 *	 0             12         13       14      16
 *	+-------------+----------+--------+-------+------------------------------------+
 *	2: signature  | VER|CMD  | FAM|PRO| LEN   | addresses, ports, TLVs (LEN bytes) |
 *	+-------------+----------+--------+-------+------------------------------------+
 *
 * Believe it from peers that are configured to send it, from nobody else. No I/O, no allocation;
 * any thread.
 */
#ifndef ADIT_CORE_WIRE_PROXY_H
#define ADIT_CORE_WIRE_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
	PROXY_V1_MAX = 107,		/* bytes of the longest line, as the specification says */
	PROXY_V2_MAX = 536,		/* bytes taken of version 2, its own bound for receivers */
	PROXY_ENCODED_MAX = PROXY_V1_MAX,	/* no header that we write is longer */
};

struct proxy_header {
	unsigned		version;	/* 1 or 2 */
	/*
	 * Whether src and dst say something. False for UNKNOWN, LOCAL (a health check) and address
	 * families we have no use for: then the connection is its own source, and both are
	 * AF_UNSPEC.
	 */
	bool			proxied;
	bool			dgram;		/* UDP; version 2 only */
	struct sockaddr_storage	src, dst;	/* both AF_INET or both AF_INET6 */
};

/*
 * Decodes the header at the beginning of buf. Returns the bytes it takes, 0 if it is not all
 * there yet, -ENOMSG if what is there is no PROXY header at all (it is then the application's),
 * or -EBADMSG with why (static; may be NULL). TLVs are skipped, the checksum among them.
 */
ssize_t proxy_decode(const void *buf, size_t len, struct proxy_header *h, const char **why);

/*
 * Encodes h in h->version. IPv4-mapped IPv6 is written as IPv4, a dst of AF_UNSPEC as the wildcard
 * of src's family, a pair of IPv4 and IPv6 as two IPv6 addresses; UDP becomes UNKNOWN in version 1,
 * which has no word for it. Returns the length, -EINVAL for another version, -EAFNOSUPPORT for a
 * family that is neither.
 */
ssize_t proxy_encode(const struct proxy_header *h, char out[PROXY_ENCODED_MAX]);

#endif
