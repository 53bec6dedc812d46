#include "core/wire/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "core/wire/addr.h"
#include "core/wire/bytes.h"

enum {
	V2_SIGNATURE = 12,
	V2_HEADER = 16,
	V2_LOCAL = 0x20,		/* version 2 in the high bits, command in the low ones */
	V2_PROXY = 0x21,
	V2_INET = 0x1,			/* address family, above the transport */
	V2_INET6 = 0x2,
	V2_UNIX = 0x3,
	V2_STREAM = 0x1,		/* transport */
	V2_DGRAM = 0x2,
};

static const char v1_prefix[] = "PROXY ";
static const uint8_t v2_signature[V2_SIGNATURE] = {
	'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n',
};

static void
set_addrs(struct proxy_header *h, const struct wire_addr *src, const struct wire_addr *dst)
{
	wire_addr_to_sockaddr(src, &h->src);	/* never a name, so they cannot fail */
	wire_addr_to_sockaddr(dst, &h->dst);
	h->proxied = true;
}

/* ---- version 1 ---- */

struct v1_line {
	const char	*p, *end;
};

/* The next word, which one space precedes and one or the end follows; cut to size. */
static bool
next_word(struct v1_line *line, char *out, size_t size)
{
	const char *stop;
	size_t len;

	if (line->p == line->end || *line->p != ' ')
		return false;
	line->p++;
	stop = memchr(line->p, ' ', (size_t)(line->end - line->p));
	if (!stop)
		stop = line->end;
	len = (size_t)(stop - line->p);
	if (!len || len >= size || memchr(line->p, 0, len))
		return false;
	memcpy(out, line->p, len);
	out[len] = 0;
	line->p = stop;
	return true;
}

static bool
next_port(struct v1_line *line, uint16_t *port)
{
	char word[6];

	if (!next_word(line, word, sizeof(word)) || (word[0] == '0' && word[1]))
		return false;
	return !wire_addr_parse_port(word, strlen(word), port);
}

static bool
next_ip(struct v1_line *line, enum wire_addr_type type, struct wire_addr *a)
{
	char word[INET6_ADDRSTRLEN];

	*a = (struct wire_addr){ .type = (uint8_t)type };
	return next_word(line, word, sizeof(word))
		&& inet_pton(type == WIRE_ADDR_IPV4 ? AF_INET : AF_INET6, word, a->ip) == 1;
}

/* The line between "PROXY" and CR LF. */
static const char *
read_v1(struct v1_line *line, struct proxy_header *h)
{
	enum wire_addr_type type;
	struct wire_addr src, dst;
	char protocol[8];

	if (!next_word(line, protocol, sizeof(protocol)))
		return "PROXY line without a protocol";
	if (!strcmp(protocol, "UNKNOWN"))	/* the rest is to be ignored */
		return NULL;
	if (strcmp(protocol, "TCP4") != 0 && strcmp(protocol, "TCP6") != 0)
		return "PROXY line with an unknown protocol";
	type = protocol[3] == '4' ? WIRE_ADDR_IPV4 : WIRE_ADDR_IPV6;
	if (!next_ip(line, type, &src) || !next_ip(line, type, &dst))
		return "PROXY line with a malformed address";
	if (!next_port(line, &src.port) || !next_port(line, &dst.port) || line->p != line->end)
		return "PROXY line with a malformed port";
	set_addrs(h, &src, &dst);
	return NULL;
}

static ssize_t
decode_v1(const char *text, size_t len, struct proxy_header *h, const char **why)
{
	size_t max = len < PROXY_V1_MAX ? len : PROXY_V1_MAX;
	const char *end = memchr(text, '\n', max), *fault;
	struct v1_line line = { .p = text + sizeof(v1_prefix) - 2 };

	if (!end && len < PROXY_V1_MAX)
		return 0;
	if (!end || end[-1] != '\r')
		return wire_malformed(why, "PROXY line without CR LF within 107 bytes");
	line.end = end - 1;
	h->version = 1;
	fault = read_v1(&line, h);
	return fault ? wire_malformed(why, fault) : end + 1 - text;
}

/* ---- version 2 ---- */

static const char *
read_v2_addrs(struct wire_reader *r, uint8_t family, struct proxy_header *h)
{
	struct wire_addr src = { .type = family == V2_INET ? WIRE_ADDR_IPV4 : WIRE_ADDR_IPV6 };
	struct wire_addr dst = src;
	size_t n = family == V2_INET ? 4 : 16;
	struct wire_reader ips = wire_sub(r, 2 * n);

	src.port = wire_get16(r);
	dst.port = wire_get16(r);
	if (r->bad)
		return "PROXY header too short for its addresses";
	memcpy(src.ip, ips.p, n);
	memcpy(dst.ip, ips.p + n, n);
	set_addrs(h, &src, &dst);
	return NULL;
}

/* What follows the signature; r ends where the header ends. */
static const char *
read_v2(struct wire_reader *r, struct proxy_header *h)
{
	uint8_t command = wire_get8(r), kind = wire_get8(r);
	uint8_t family = kind >> 4, transport = kind & 0xf;

	wire_get16(r);
	if (command != V2_LOCAL && command != V2_PROXY)
		return "PROXY header of unknown version or command";
	if (command == V2_LOCAL)		/* the addresses are to be ignored */
		return NULL;
	if (family > V2_UNIX || transport > V2_DGRAM)
		return "PROXY header of unknown family or transport";
	if ((family != V2_INET && family != V2_INET6) || !transport)
		return NULL;
	h->dgram = transport == V2_DGRAM;
	return read_v2_addrs(r, family, h);
}

static ssize_t
decode_v2(const uint8_t *p, size_t len, struct proxy_header *h, const char **why)
{
	struct wire_reader r = { .p = p + V2_SIGNATURE };
	const char *fault;
	size_t size;

	if (len < V2_HEADER)
		return 0;
	size = V2_HEADER + (size_t)(p[14] << 8 | p[15]);
	if (size > PROXY_V2_MAX)
		return wire_malformed(why, "PROXY header longer than 536 bytes");
	if (len < size)
		return 0;
	r.left = size - V2_SIGNATURE;
	h->version = 2;
	fault = read_v2(&r, h);
	return fault ? wire_malformed(why, fault) : (ssize_t)size;
}

ssize_t
proxy_decode(const void *buf, size_t len, struct proxy_header *h, const char **why)
{
	int v1 = wire_match(buf, len, v1_prefix, sizeof(v1_prefix) - 1);
	int v2 = wire_match(buf, len, v2_signature, sizeof(v2_signature));

	memset(h, 0, sizeof(*h));
	if (v1 > 0)
		return decode_v1(buf, len, h, why);
	if (v2 > 0)
		return decode_v2(buf, len, h, why);
	return v1 && v2 ? -ENOMSG : 0;
}

/* ---- encoding ---- */

/* src and dst of a header in one family. */
struct proxy_pair {
	struct wire_addr	src, dst;	/* both WIRE_ADDR_NONE: nothing to say */
};

static int
get_addr(const struct sockaddr_storage *ss, struct wire_addr *a)
{
	*a = (struct wire_addr){ .type = WIRE_ADDR_NONE };
	if (ss->ss_family == AF_UNSPEC)
		return 0;
	return wire_addr_from_sockaddr((const struct sockaddr *)ss, a);
}

/* Makes an IPv6 address of a, IPv4-mapped (RFC 4291, 2.5.5.2) or the wildcard. */
static void
widen(struct wire_addr *a)
{
	struct wire_addr wide = { .type = WIRE_ADDR_IPV6, .port = a->port };

	if (a->type == WIRE_ADDR_IPV6)
		return;
	if (a->type == WIRE_ADDR_IPV4) {
		wide.ip[10] = wide.ip[11] = 0xff;
		memcpy(wide.ip + 12, a->ip, 4);
	}
	*a = wide;
}

static int
make_pair(const struct proxy_header *h, struct proxy_pair *pair)
{
	if (get_addr(&h->src, &pair->src) || get_addr(&h->dst, &pair->dst))
		return -EAFNOSUPPORT;
	if (!h->proxied || pair->src.type == WIRE_ADDR_NONE) {
		*pair = (struct proxy_pair){ .src = { .type = WIRE_ADDR_NONE } };
	} else if (pair->dst.type == WIRE_ADDR_NONE) {
		pair->dst.type = pair->src.type;
	} else if (pair->src.type != pair->dst.type) {
		widen(&pair->src);
		widen(&pair->dst);
	}
	return 0;
}

static ssize_t
encode_v1(const struct proxy_header *h, const struct proxy_pair *pair, char *out)
{
	char src[WIRE_ADDR_TEXT], dst[WIRE_ADDR_TEXT], line[PROXY_V1_MAX + 1];
	int n;

	if (pair->src.type == WIRE_ADDR_NONE || h->dgram) {
		n = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	} else {
		wire_addr_host(&pair->src, src);
		wire_addr_host(&pair->dst, dst);
		n = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
			pair->src.type == WIRE_ADDR_IPV4 ? '4' : '6', src, dst,
			pair->src.port, pair->dst.port);
	}
	if (n < 0 || n > PROXY_V1_MAX)
		return -EINVAL;
	memcpy(out, line, (size_t)n);
	return n;
}

static ssize_t
encode_v2(const struct proxy_header *h, const struct proxy_pair *pair, char *out)
{
	struct wire_writer w = { .p = (uint8_t *)out, .cap = PROXY_ENCODED_MAX };
	bool ipv4 = pair->src.type == WIRE_ADDR_IPV4;
	size_t n = ipv4 ? 4 : 16;

	wire_put(&w, v2_signature, sizeof(v2_signature));
	wire_put8(&w, h->proxied ? V2_PROXY : V2_LOCAL);
	if (pair->src.type == WIRE_ADDR_NONE) {
		wire_put8(&w, 0);
		wire_put16(&w, 0);
		return (ssize_t)w.len;
	}
	wire_put8(&w, (ipv4 ? V2_INET : V2_INET6) << 4 | (h->dgram ? V2_DGRAM : V2_STREAM));
	wire_put16(&w, (unsigned)(2 * n + 4));
	wire_put(&w, pair->src.ip, n);
	wire_put(&w, pair->dst.ip, n);
	wire_put16(&w, pair->src.port);
	wire_put16(&w, pair->dst.port);
	return (ssize_t)w.len;
}

ssize_t
proxy_encode(const struct proxy_header *h, char out[PROXY_ENCODED_MAX])
{
	struct proxy_pair pair;
	int ret = make_pair(h, &pair);

	if (ret)
		return ret;
	if (h->version == 1)
		return encode_v1(h, &pair, out);
	return h->version == 2 ? encode_v2(h, &pair, out) : -EINVAL;
}
