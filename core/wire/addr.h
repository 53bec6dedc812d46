/*
 * An address as relay, SOCKS5 and udp-tun frames carry it:
 *
 *	ATYP(1) HOST PORT(2)	ATYP 1: 4 bytes, 4: 16 bytes, 3: length byte and that many of name
 *
 * Names are carried as they came: not resolved, case kept, possibly empty. A name with a NUL is
 * malformed, so that name[] can be used as a C string. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_ADDR_H
#define ADIT_CORE_WIRE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct wire_reader;
struct wire_writer;

enum wire_addr_type {
	WIRE_ADDR_NONE = 0,		/* not on the wire: nothing here */
	WIRE_ADDR_IPV4 = 1,
	WIRE_ADDR_NAME = 3,
	WIRE_ADDR_IPV6 = 4,
};

#define WIRE_ADDR_MAX 259		/* bytes of the longest one on the wire */
#define WIRE_ADDR_TEXT 264		/* room for the longest one as text, with its terminator */

struct wire_addr {
	uint8_t		type;		/* enum wire_addr_type */
	uint8_t		len;		/* of name */
	uint16_t	port;		/* host order */
	union {
		uint8_t	ip[16];		/* network order; the first 4 of an IPv4 */
		char	name[256];	/* terminated */
	};
};

/*
 * Reads one. Returns 0, -EAGAIN if r ends too early, -EBADMSG for an unknown ATYP or a NUL in a
 * name.
 */
int wire_addr_read(struct wire_reader *r, struct wire_addr *a);

/* Writes one; WIRE_ADDR_NONE and unknown types make w bad. */
void wire_addr_write(struct wire_writer *w, const struct wire_addr *a);

/*
 * Reads text as gost does: split at the last colon, brackets around an IPv6 address,
 * IPv4-mapped text is IPv4, no port is port 0, ":80" is an empty name. A bare IPv6 address is
 * taken too. Returns 0 or -EINVAL: empty text, a port that is no number up to 65535, a name
 * over 255 bytes or with a NUL.
 */
int wire_addr_parse(const char *text, size_t len, struct wire_addr *a);

/* Reads a port in decimal; no digits at all are 0. Returns 0 or -EINVAL. */
int wire_addr_parse_port(const char *text, size_t len, uint16_t *port);

/*
 * Writes "host:port" (IPv6 in brackets), terminated; returns its length. WIRE_ADDR_NONE gives
 * "".
 */
size_t wire_addr_format(const struct wire_addr *a, char out[WIRE_ADDR_TEXT]);

/* Writes the host alone, IPv6 without brackets, terminated; returns its length. */
size_t wire_addr_host(const struct wire_addr *a, char out[WIRE_ADDR_TEXT]);

/*
 * From an IPv4 or IPv6 socket address; IPv4-mapped IPv6 becomes IPv4. Returns 0 or
 * -EAFNOSUPPORT.
 */
int wire_addr_from_sockaddr(const struct sockaddr *sa, struct wire_addr *a);

/*
 * Returns the length of what it stored in out, or -EAFNOSUPPORT for a name, which has to be
 * resolved first.
 */
int wire_addr_to_sockaddr(const struct wire_addr *a, struct sockaddr_storage *out);

/* Whether a leaves the host open: an empty name, 0.0.0.0 or ::, or nothing at all. */
bool wire_addr_is_any(const struct wire_addr *a);

#endif
