#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <adit/addr.h>

static void
addr_set_ip6(struct adit_addr *a, const struct in6_addr *ip, uint32_t scope)
{
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		a->family = AF_INET;
		memcpy(a->ip, ip->s6_addr + 12, 4);
		return;
	}
	a->family = AF_INET6;
	a->scope = scope;
	memcpy(a->ip, ip->s6_addr, 16);
}

struct adit_addr
adit_addr_from(const struct sockaddr *sa, socklen_t len)
{
	struct adit_addr a = { .family = 0 };
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	if (!sa || len < offsetof(struct sockaddr, sa_data))
		return a;
	/* Copied: the caller's storage need not be aligned for the larger types. */
	if (sa->sa_family == AF_INET && len >= sizeof(sin)) {
		memcpy(&sin, sa, sizeof(sin));
		a.family = AF_INET;
		a.port = ntohs(sin.sin_port);
		memcpy(a.ip, &sin.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(sin6)) {
		memcpy(&sin6, sa, sizeof(sin6));
		a.port = ntohs(sin6.sin6_port);
		addr_set_ip6(&a, &sin6.sin6_addr, sin6.sin6_scope_id);
	} else if (sa->sa_family == AF_UNIX) {
		a.family = AF_UNIX;
	}
	return a;
}

socklen_t
adit_addr_to(const struct adit_addr *a, struct sockaddr_storage *out)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(a->port) };
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(a->port),
		.sin6_scope_id = a->scope,
	};

	memset(out, 0, sizeof(*out));
	switch (a->family) {
	case AF_INET:
		memcpy(&sin.sin_addr, a->ip, 4);
		memcpy(out, &sin, sizeof(sin));
		return sizeof(sin);
	case AF_INET6:
		memcpy(&sin6.sin6_addr, a->ip, 16);
		memcpy(out, &sin6, sizeof(sin6));
		return sizeof(sin6);
	default:
		return 0;
	}
}

/* Digits only, up to max; no sign, no blanks. */
static int
addr_number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t value = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > max)
			return -EINVAL;
	}
	*out = (uint32_t)value;
	return 0;
}

/* The zone of RFC 4007, section 11.2: an interface's name or its index. */
static int
addr_zone(const char *zone, uint32_t *scope)
{
	if (!*zone)
		return -EINVAL;
	*scope = if_nametoindex(zone);
	return *scope ? 0 : addr_number(zone, UINT32_MAX, scope);
}

static int
addr_parse_ip6(char *ip, struct adit_addr *out)
{
	struct in6_addr ip6;
	uint32_t scope = 0;
	char *zone = strchr(ip, '%');

	if (zone) {
		*zone++ = 0;
		if (addr_zone(zone, &scope))
			return -EINVAL;
	}
	if (inet_pton(AF_INET6, ip, &ip6) != 1)
		return -EINVAL;
	addr_set_ip6(out, &ip6, scope);
	return 0;
}

int
adit_addr_parse(const char *ip, uint16_t port, struct adit_addr *out)
{
	struct adit_addr a = { .port = port };
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	size_t len = strlen(ip);
	int err = 0;

	if (len >= 2 && ip[0] == '[' && ip[len - 1] == ']') {
		ip++;
		len -= 2;
		if (!memchr(ip, ':', len))
			return -EINVAL;
	}
	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, ip, len);
	text[len] = 0;

	if (inet_pton(AF_INET, text, a.ip) == 1)
		a.family = AF_INET;
	else
		err = addr_parse_ip6(text, &a);
	if (!err)
		*out = a;
	return err;
}

static void
addr_ip_text(const struct adit_addr *a, char *out, size_t size)
{
	size_t len;

	if (!inet_ntop(a->family, a->ip, out, (socklen_t)size))
		out[0] = 0;	/* cannot be: the family is known and size is enough */
	len = strlen(out);
	if (a->family == AF_INET6 && a->scope)
		snprintf(out + len, size - len, "%%%u", a->scope);
}

char *
adit_addr_format(const struct adit_addr *a, char out[ADIT_ADDR_TEXT])
{
	char ip[ADIT_ADDR_TEXT - sizeof("[]:65535") + 1];

	switch (a->family) {
	case AF_INET:
	case AF_INET6:
		addr_ip_text(a, ip, sizeof(ip));
		snprintf(out, ADIT_ADDR_TEXT, a->family == AF_INET ? "%s:%u" : "[%s]:%u", ip,
			 a->port);
		return out;
	default:
		return adit_addr_format_ip(a, out);
	}
}

char *
adit_addr_format_ip(const struct adit_addr *a, char out[ADIT_ADDR_TEXT])
{
	switch (a->family) {
	case AF_INET:
	case AF_INET6:
		addr_ip_text(a, out, ADIT_ADDR_TEXT);
		return out;
	default:
		return strcpy(out, a->family == AF_UNIX ? "unix" : "-");
	}
}

bool
adit_addr_equal(const struct adit_addr *a, const struct adit_addr *b)
{
	if (a->family != b->family)
		return false;
	switch (a->family) {
	case AF_INET:
		return a->port == b->port && !memcmp(a->ip, b->ip, 4);
	case AF_INET6:
		return a->port == b->port && a->scope == b->scope && !memcmp(a->ip, b->ip, 16);
	default:
		return true;
	}
}

int
adit_hostport_split(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *colon, *end;
	uint32_t value = 0;

	if (!*text)
		return -EINVAL;
	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || end == text || (end[1] && end[1] != ':'))
			return -EINVAL;
		colon = end[1] ? end + 1 : NULL;
	} else {
		colon = strchr(text, ':');
		end = colon ? colon : text + strlen(text);
	}
	/* A second colon has no digit's value: IPv6 without brackets is refused, not guessed at. */
	if (colon && addr_number(colon + 1, UINT16_MAX, &value))
		return -EINVAL;
	if ((size_t)(end - text) >= size)
		return -EINVAL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = 0;
	*port = (uint16_t)value;
	return 0;
}
