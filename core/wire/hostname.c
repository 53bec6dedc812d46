#include "core/wire/hostname.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core/wire/addr.h"

/* Returns c in lower case, or 0 if it cannot stand in a label. */
static char
label_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return c;
	return 0;
}

ssize_t
hostname_normalise(const char *name, size_t len, char out[HOSTNAME_MAX + 1])
{
	size_t label = 0;

	if (len && name[len - 1] == '.')
		len--;
	if (!len || len > HOSTNAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = name[i] == '.' ? '.' : label_char(name[i]);

		if (!c || (c == '.' && !label))
			return -EINVAL;
		label = c == '.' ? 0 : label + 1;
		if (label > HOSTNAME_LABEL_MAX)
			return -EINVAL;
		out[i] = c;
	}
	if (!label)
		return -EINVAL;
	out[len] = 0;
	return (ssize_t)len;
}

/* What follows the host: nothing, ":" or ":port". */
static int
parse_port(const char *text, size_t len, struct hostname *h)
{
	if (!len)
		return 0;
	h->has_port = len > 1;
	return *text == ':' ? wire_addr_parse_port(text + 1, len - 1, &h->port) : -EINVAL;
}

static int
parse_bracketed(const char *text, size_t len, struct hostname *h)
{
	const char *close = memchr(text, ']', len);
	char inner[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	size_t n;

	if (!close)
		return -EINVAL;
	n = (size_t)(close - text) - 1;
	if (n >= sizeof(inner) || memchr(text + 1, 0, n))
		return -EINVAL;
	memcpy(inner, text + 1, n);
	inner[n] = 0;
	if (inet_pton(AF_INET6, inner, &ip) != 1
		|| !inet_ntop(AF_INET6, &ip, h->text, sizeof(h->text)))
		return -EINVAL;
	h->len = (uint8_t)strlen(h->text);
	h->kind = HOSTNAME_IPV6;
	return parse_port(close + 1, len - n - 2, h);
}

int
hostname_parse(const char *text, size_t len, struct hostname *out)
{
	const char *colon;
	struct in_addr ip;
	size_t host_len;
	ssize_t n;

	memset(out, 0, sizeof(*out));
	if (len && *text == '[')
		return parse_bracketed(text, len, out);
	colon = memchr(text, ':', len);
	host_len = colon ? (size_t)(colon - text) : len;
	n = hostname_normalise(text, host_len, out->text);
	if (n < 0)
		return (int)n;
	out->len = (uint8_t)n;
	out->kind = inet_pton(AF_INET, out->text, &ip) == 1 ? HOSTNAME_IPV4 : HOSTNAME_DNS;
	return parse_port(text + host_len, len - host_len, out);
}

int
hostname_pattern(const char *text, char out[HOSTNAME_PATTERN_SIZE])
{
	struct hostname ip;
	bool wild;

	if (*text == '[') {
		if (hostname_parse(text, strlen(text), &ip) < 0 || ip.has_port)
			return -EINVAL;
		strcpy(out, ip.text);
		return 0;
	}
	if (*text == '*')
		text++;
	wild = *text == '.';
	out[0] = '.';
	return hostname_normalise(text + wild, strlen(text + wild), out + wild) < 0 ? -EINVAL : 0;
}
