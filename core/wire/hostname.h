/*
 * Host names as routing compares them: lower case, no port, no trailing dot. Whatever somebody
 * else sends as a host (Host, :authority, SNI, a rule, a relay address) goes through here first,
 * so that two spellings of one host are one host and no strange byte reaches a rule, a log line
 * or another program. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_HOSTNAME_H
#define ADIT_CORE_WIRE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	HOSTNAME_MAX = 253,		/* RFC 1035, 2.3.4, as text without the root's dot */
	HOSTNAME_LABEL_MAX = 63,
	HOSTNAME_PATTERN_SIZE = HOSTNAME_MAX + 2,	/* a leading dot, the end */
};

enum hostname_kind {
	HOSTNAME_DNS,
	HOSTNAME_IPV4,
	HOSTNAME_IPV6,			/* text is without brackets, as inet_ntop() writes it */
};

struct hostname {
	char			text[HOSTNAME_MAX + 1];	/* terminated */
	uint8_t			len;
	enum hostname_kind	kind;
	bool			has_port;
	uint16_t		port;	/* 0 unless has_port */
};

/*
 * Reads "host", "host:port", "[v6]" or "[v6]:port" (RFC 3986, 3.2, without userinfo); "host:" has
 * no port. Returns 0 or -EINVAL: no host, labels that are empty or too long, anything but
 * letters, digits, '-', '_' and dots in a name, a bare IPv6 address, a port that is no number up
 * to 65535. A percent sign, a space, '@' and control characters are thus refused.
 */
int hostname_parse(const char *text, size_t len, struct hostname *out);

/*
 * Normalises a DNS name alone, as in SNI: out is lower case, without the trailing dot,
 * terminated. Returns its length or -EINVAL by the rules above; digits and dots are a name too.
 */
ssize_t hostname_normalise(const char *name, size_t len, char out[HOSTNAME_MAX + 1]);

/*
 * The host of a routing rule, "host", ".host", "*.host" or "[v6]", as rules are kept: normalised,
 * a wildcard with its dot. Returns 0 or -EINVAL.
 */
int hostname_pattern(const char *text, char out[HOSTNAME_PATTERN_SIZE]);

#endif
