#include "core/wire/sniff.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "core/wire/bytes.h"

static const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char ssh_version[] = "SSH-2";

/* RFC 9110, 5.6.2. */
static bool
is_token_char(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c);
}

size_t
sniff_empty_lines(const void *buf, size_t len)
{
	const char *text = buf;
	size_t n = 0;

	while (n + 2 <= len && text[n] == '\r' && text[n + 1] == '\n')
		n += 2;
	return n;
}

static enum sniff_protocol
sniff_method(const char *text, size_t len)
{
	size_t n = sniff_empty_lines(text, len);

	if (n > SNIFF_EMPTY_MAX)
		return SNIFF_UNKNOWN;
	text += n;
	len -= n;
	if (len == 1 && *text == '\r')
		return n < SNIFF_EMPTY_MAX ? SNIFF_MORE : SNIFF_UNKNOWN;
	for (n = 0; n < len && n <= SNIFF_METHOD_MAX; n++) {
		if (text[n] == ' ' && n)
			return SNIFF_HTTP1;
		if (!is_token_char(text[n]))
			return SNIFF_UNKNOWN;
	}
	return n > SNIFF_METHOD_MAX ? SNIFF_UNKNOWN : SNIFF_MORE;
}

enum sniff_protocol
sniff_protocol(const void *buf, size_t len)
{
	const char *text = buf;
	int preface, ssh;

	if (!len)
		return SNIFF_MORE;
	if (*text == 0x01)
		return SNIFF_RELAY;
	if (*text == 0x16)
		return SNIFF_TLS;
	preface = wire_match(text, len, http2_preface, sizeof(http2_preface) - 1);
	ssh = wire_match(text, len, ssh_version, sizeof(ssh_version) - 1);
	if (preface > 0)
		return SNIFF_HTTP2;
	if (ssh > 0)
		return SNIFF_SSH;
	if (!preface || !ssh)
		return SNIFF_MORE;
	return sniff_method(text, len);
}

/* The value of a "Host:" line of len bytes without its end, or NULL if it is another one. */
static const char *
host_value(const char *line, size_t len, size_t *value_len)
{
	const char *value = line + 5, *end = line + len;

	if (len < 5 || strncasecmp(line, "Host:", 5) != 0)
		return NULL;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*value_len = (size_t)(end - value);
	return value;
}

static enum sniff_host
unfinished(size_t len)
{
	return len >= SNIFF_MAX ? SNIFF_HOST_MALFORMED : SNIFF_HOST_MORE;
}

enum sniff_host
sniff_http_host(const void *buf, size_t len, struct hostname *out)
{
	const char *text = buf, *line, *end, *value;
	size_t total = len < SNIFF_MAX ? len : SNIFF_MAX;
	size_t line_len, value_len;
	bool request_line = true;

	for (line = text + sniff_empty_lines(text, total);; line = end + 1) {
		end = memchr(line, '\n', total - (size_t)(line - text));
		if (!end)
			return unfinished(len);
		line_len = (size_t)(end - line);
		if (line_len && line[line_len - 1] == '\r')
			line_len--;
		if (!line_len)
			return SNIFF_HOST_NONE;
		value = request_line ? NULL : host_value(line, line_len, &value_len);
		if (value)
			break;
		request_line = false;
	}
	if (hostname_parse(value, value_len, out) < 0)
		return SNIFF_HOST_MALFORMED;
	return SNIFF_HOST_FOUND;
}
