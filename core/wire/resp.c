#include "core/wire/resp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* "-12" or "12", nothing else; at most 18 digits, so that it fits. */
static bool
resp_number(const char *s, size_t len, int64_t *out)
{
	bool minus = len && *s == '-';
	int64_t n = 0;

	s += minus;
	len -= minus;
	if (len == 0 || len > 18)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		n = n * 10 + (s[i] - '0');
	}
	*out = minus ? -n : n;
	return true;
}

/* A bulk whose first line has used bytes. */
static ssize_t
resp_bulk(const char *p, size_t len, size_t used, size_t max, struct resp *out)
{
	size_t n;

	if (out->number == -1) {
		out->type = RESP_NIL;
		return (ssize_t)used;
	}
	if (out->number < 0)
		return -EBADMSG;
	if ((uint64_t)out->number > max)
		return -EMSGSIZE;
	n = (size_t)out->number;
	if (len - used < n + 2)
		return 0;
	if (memcmp(p + used + n, "\r\n", 2) != 0)
		return -EBADMSG;
	out->type = RESP_BULK;
	out->text = p + used;
	out->len = n;
	return (ssize_t)(used + n + 2);
}

ssize_t
resp_decode(const void *buf, size_t len, size_t max, struct resp *out)
{
	const char *p = buf, *end = memchr(p, '\n', len < RESP_LINE_MAX ? len : RESP_LINE_MAX);
	size_t used;

	*out = (struct resp){ .type = RESP_TEXT };
	if (len && (!*p || !strchr("+-:$*", *p)))
		return -EBADMSG;
	if (!end)
		return len < RESP_LINE_MAX ? 0 : -EMSGSIZE;
	used = (size_t)(end - p) + 1;
	if (used < 3 || end[-1] != '\r')
		return -EBADMSG;
	out->text = p + 1;
	out->len = used - 3;
	if (*p == '+' || *p == '-') {
		out->type = *p == '-' ? RESP_ERROR : RESP_TEXT;
		return (ssize_t)used;
	}
	if (!resp_number(out->text, out->len, &out->number))
		return -EBADMSG;
	out->text = NULL;
	out->len = 0;
	if (*p == '$')
		return resp_bulk(p, len, used, max, out);
	out->type = *p == '*' ? RESP_ARRAY : RESP_NUMBER;
	if (*p == '*' && out->number == -1)
		out->type = RESP_NIL;
	else if (*p == '*' && out->number < 0)
		return -EBADMSG;
	return (ssize_t)used;
}

static size_t
resp_put(char *out, size_t size, size_t at, const char *text, size_t len)
{
	if (out && at <= size && size - at >= len)
		memcpy(out + at, text, len);
	return at + len;
}

size_t
resp_encode(const char *const *words, size_t n, void *out, size_t size)
{
	char head[32];
	size_t at = resp_put(out, size, 0, head,
			     (size_t)snprintf(head, sizeof(head), "*%zu\r\n", n));

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(words[i]);

		at = resp_put(out, size, at, head,
			      (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len));
		at = resp_put(out, size, at, words[i], len);
		at = resp_put(out, size, at, "\r\n", 2);
	}
	return at;
}
