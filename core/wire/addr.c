#include "core/wire/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/wire/bytes.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };	/* RFC 4291, 2.5.5.2 */

static int
read_name(struct wire_reader *r, struct wire_addr *a)
{
	uint8_t len = wire_get8(r);
	const uint8_t *p = wire_take(r, len);

	if (!p || r->bad)
		return -EAGAIN;
	if (memchr(p, 0, len))
		return -EBADMSG;
	memcpy(a->name, p, len);
	a->len = len;
	return 0;
}

static int
read_ip(struct wire_reader *r, size_t n, struct wire_addr *a)
{
	const uint8_t *p = wire_take(r, n);

	if (!p)
		return -EAGAIN;
	memcpy(a->ip, p, n);
	return 0;
}

int
wire_addr_read(struct wire_reader *r, struct wire_addr *a)
{
	int ret;

	memset(a, 0, sizeof(*a));
	a->type = wire_get8(r);
	if (r->bad)
		return -EAGAIN;
	switch (a->type) {
	case WIRE_ADDR_IPV4:
		ret = read_ip(r, 4, a);
		break;
	case WIRE_ADDR_IPV6:
		ret = read_ip(r, 16, a);
		break;
	case WIRE_ADDR_NAME:
		ret = read_name(r, a);
		break;
	default:
		return -EBADMSG;
	}
	if (ret)
		return ret;
	a->port = wire_get16(r);
	return r->bad ? -EAGAIN : 0;
}

void
wire_addr_write(struct wire_writer *w, const struct wire_addr *a)
{
	wire_put8(w, a->type);
	switch (a->type) {
	case WIRE_ADDR_IPV4:
		wire_put(w, a->ip, 4);
		break;
	case WIRE_ADDR_IPV6:
		wire_put(w, a->ip, 16);
		break;
	case WIRE_ADDR_NAME:
		wire_put8(w, a->len);
		wire_put(w, a->name, a->len);
		break;
	default:
		w->bad = true;
	}
	wire_put16(w, a->port);
}

int
wire_addr_parse_port(const char *text, size_t len, uint16_t *port)
{
	unsigned value = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(text[i] - '0');
		if (value > 65535)
			return -EINVAL;
	}
	*port = (uint16_t)value;
	return 0;
}

static void
set_ipv6(struct wire_addr *a, const uint8_t ip[16])
{
	bool mapped = !memcmp(ip, mapped_prefix, sizeof(mapped_prefix));

	a->type = mapped ? WIRE_ADDR_IPV4 : WIRE_ADDR_IPV6;
	if (mapped)
		memcpy(a->ip, ip + sizeof(mapped_prefix), 4);
	else
		memcpy(a->ip, ip, 16);
}

/* The host of text: an address if it reads as one, else a name. */
static int
parse_host(const char *text, size_t len, struct wire_addr *a)
{
	char host[256];
	uint8_t ip[16];

	if (len >= sizeof(host) || memchr(text, 0, len))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = 0;
	if (inet_pton(AF_INET6, host, ip) == 1) {
		set_ipv6(a, ip);
	} else if (inet_pton(AF_INET, host, ip) == 1) {
		a->type = WIRE_ADDR_IPV4;
		memcpy(a->ip, ip, 4);
	} else if (memchr(host, ':', len)) {
		return -EINVAL;
	} else {
		a->type = WIRE_ADDR_NAME;
		a->len = (uint8_t)len;
		memcpy(a->name, host, len);
	}
	return 0;
}

/* "[host]" or "[host]:port" */
static int
parse_bracketed(const char *text, size_t len, struct wire_addr *a)
{
	const char *close = memchr(text, ']', len);
	size_t rest;
	int ret;

	if (!close || !memchr(text, ':', (size_t)(close - text)))	/* not IPv6 inside */
		return -EINVAL;
	rest = len - (size_t)(close + 1 - text);
	if (rest && close[1] != ':')
		return -EINVAL;
	ret = parse_host(text + 1, (size_t)(close - text) - 1, a);
	if (ret || !rest)
		return ret;
	return wire_addr_parse_port(close + 2, rest - 1, &a->port);
}

int
wire_addr_parse(const char *text, size_t len, struct wire_addr *a)
{
	const char *colon;
	size_t host_len;
	int ret;

	memset(a, 0, sizeof(*a));
	if (!len)
		return -EINVAL;
	if (*text == '[')
		return parse_bracketed(text, len, a);
	colon = memrchr(text, ':', len);
	/* No port, or a bare IPv6 address. */
	if (!colon || memchr(text, ':', (size_t)(colon - text)))
		return parse_host(text, len, a);
	host_len = (size_t)(colon - text);
	ret = parse_host(text, host_len, a);
	return ret ? ret : wire_addr_parse_port(colon + 1, len - host_len - 1, &a->port);
}

size_t
wire_addr_host(const struct wire_addr *a, char out[WIRE_ADDR_TEXT])
{
	*out = 0;
	switch (a->type) {
	case WIRE_ADDR_IPV4:
		inet_ntop(AF_INET, a->ip, out, WIRE_ADDR_TEXT);
		break;
	case WIRE_ADDR_IPV6:
		inet_ntop(AF_INET6, a->ip, out, WIRE_ADDR_TEXT);
		break;
	case WIRE_ADDR_NAME:
		memcpy(out, a->name, a->len);
		out[a->len] = 0;
		break;
	default:
		break;
	}
	return strlen(out);
}

size_t
wire_addr_format(const struct wire_addr *a, char out[WIRE_ADDR_TEXT])
{
	bool brackets = a->type == WIRE_ADDR_IPV6;
	char host[WIRE_ADDR_TEXT];
	int n;

	wire_addr_host(a, host);
	*out = 0;
	if (a->type == WIRE_ADDR_NONE)
		return 0;
	n = snprintf(out, WIRE_ADDR_TEXT, "%s%.255s%s:%u", brackets ? "[" : "", host,
		brackets ? "]" : "", a->port);
	return n < 0 ? 0 : (size_t)n;
}

int
wire_addr_from_sockaddr(const struct sockaddr *sa, struct wire_addr *a)
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;

	memset(a, 0, sizeof(*a));
	if (sa->sa_family == AF_INET) {
		memcpy(&sin, sa, sizeof(sin));
		a->type = WIRE_ADDR_IPV4;
		memcpy(a->ip, &sin.sin_addr, 4);
		a->port = ntohs(sin.sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&sin6, sa, sizeof(sin6));
		set_ipv6(a, sin6.sin6_addr.s6_addr);
		a->port = ntohs(sin6.sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

int
wire_addr_to_sockaddr(const struct wire_addr *a, struct sockaddr_storage *out)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(a->port) };

	memset(out, 0, sizeof(*out));
	if (a->type == WIRE_ADDR_IPV4) {
		memcpy(&sin.sin_addr, a->ip, 4);
		memcpy(out, &sin, sizeof(sin));
		return (int)sizeof(sin);
	}
	if (a->type == WIRE_ADDR_IPV6) {
		memcpy(&sin6.sin6_addr, a->ip, 16);
		memcpy(out, &sin6, sizeof(sin6));
		return (int)sizeof(sin6);
	}
	return -EAFNOSUPPORT;
}

bool
wire_addr_is_any(const struct wire_addr *a)
{
	static const uint8_t zero[16];

	switch (a->type) {
	case WIRE_ADDR_IPV4:
		return !memcmp(a->ip, zero, 4);
	case WIRE_ADDR_IPV6:
		return !memcmp(a->ip, zero, 16);
	case WIRE_ADDR_NAME:
		return !a->len;
	default:
		return true;
	}
}
