/*
 * Socket addresses: a value of 24 bytes, copied by assignment. Names are not addresses; they are
 * text.
 */
#ifndef ADIT_ADDR_H
#define ADIT_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct adit_addr {
	uint16_t	family;		/* AF_INET, AF_INET6, AF_UNIX (no more is known), 0: none */
	uint16_t	port;		/* host order */
	uint32_t	scope;		/* IPv6 link-local: the interface index */
	uint8_t		ip[16];		/* network order; IPv4 in the first 4 */
};

/* Enough for "[ip%scope]:port" and a terminator. */
#define ADIT_ADDR_TEXT 80

/* From what the kernel gave. IPv4-mapped IPv6 becomes IPv4. Unknown families give family 0. */
struct adit_addr adit_addr_from(const struct sockaddr *sa, socklen_t len);

/* For the kernel. Returns the length, 0 if a has no IP family. */
socklen_t adit_addr_to(const struct adit_addr *a, struct sockaddr_storage *out);

/* Reads an IP literal ("1.2.3.4", "::1", "[::1]"), no name. Returns 0 or -EINVAL. */
int adit_addr_parse(const char *ip, uint16_t port, struct adit_addr *out);

/* Writes "1.2.3.4:80", "[::1]:80", "unix" or "-"; returns out. */
char *adit_addr_format(const struct adit_addr *a, char out[ADIT_ADDR_TEXT]);

/* Same, without the port and without brackets. */
char *adit_addr_format_ip(const struct adit_addr *a, char out[ADIT_ADDR_TEXT]);

/* Whether family, port, address and scope are the same. */
bool adit_addr_equal(const struct adit_addr *a, const struct adit_addr *b);

/*
 * Splits "host:port", "[v6]:port", ":port" or "host" (port 0 unless given) at the last colon
 * outside brackets. host takes at most size bytes with its terminator. Returns 0 or -EINVAL (empty
 * text, port not 0..65535, host too long, IPv6 with no brackets).
 */
int adit_hostport_split(const char *text, char *host, size_t size, uint16_t *port);

#ifdef __cplusplus
}
#endif
#endif
