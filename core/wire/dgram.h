/*
 * Datagrams in a byte stream, in gost's two framings:
 *
 *	LEN(2) payload				one far side: relay CONNECT, tunnels
 *	LEN(2) FRAG(1)=FF ADDR payload		many, "udp-tun": relay BIND, SOCKS5 F3
 *
 * LEN counts the payload alone. An empty datagram is an ordinary one in the first framing; in the
 * second it must never be sent: gost takes LEN 0 for a SOCKS5 datagram of unknown length and
 * loses the frame boundaries for good. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_DGRAM_H
#define ADIT_CORE_WIRE_DGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/wire/addr.h"

enum {
	DGRAM_HEADER_LEN = 2,
	DGRAM_MAX = 65535,		/* bytes of payload */
	UDPTUN_HEADER_MAX = 3 + WIRE_ADDR_MAX,
};

struct dgram {
	const uint8_t		*payload;	/* borrowed: points into the bytes decoded */
	size_t			 len;
	struct wire_addr	 addr;		/* udp-tun only: the remote party */
};

/*
 * Decodes the LEN frame at the beginning of buf. Returns the bytes it takes, or 0 if it is not
 * all there yet. Every byte sequence is valid.
 */
ssize_t dgram_decode(const void *buf, size_t len, struct dgram *d);

/* How many bytes the LEN frame at buf has, as far as len bytes tell: at least DGRAM_HEADER_LEN. */
size_t dgram_need(const void *buf, size_t len);

/*
 * Writes the header of a datagram of len bytes. Returns its length, or -EMSGSIZE above DGRAM_MAX.
 */
ssize_t dgram_encode_header(size_t len, uint8_t out[DGRAM_HEADER_LEN]);

/*
 * Decodes the udp-tun frame at the beginning of buf. Returns the bytes it takes, 0 if it is not
 * all there yet, or -EBADMSG with why (static; may be NULL). FRAG is not looked at, as in gost.
 * A frame with LEN 0 is read as an empty datagram; the caller drops it.
 */
ssize_t udptun_decode(const void *buf, size_t len, struct dgram *d, const char **why);

/*
 * Decodes the header of the udp-tun frame at the beginning of buf alone: its payload has *payload
 * bytes. Returns the header's length, 0 if it is not all there yet (UDPTUN_HEADER_MAX bytes always
 * are enough), or -EBADMSG as above.
 */
ssize_t udptun_decode_header(const void *buf, size_t len, size_t *payload, struct wire_addr *addr,
			     const char **why);

/*
 * Writes the header of a datagram of len bytes to or from addr. Returns its length, -EMSGSIZE if
 * len is 0 or above DGRAM_MAX, -EINVAL if addr has no type.
 */
ssize_t udptun_encode_header(size_t len, const struct wire_addr *addr,
	uint8_t out[UDPTUN_HEADER_MAX]);

#endif
