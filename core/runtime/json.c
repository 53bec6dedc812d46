#include "core/runtime/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/runtime/utf8.h"

void
json_begin(struct json *j, char *buf, size_t size)
{
	*j = (struct json){ .buf = buf, .room = size - 1, .first = true };
	buf[j->len++] = '{';
}

static bool
put(struct json *j, const char *s, size_t len)
{
	if (len > j->room - j->len)
		return false;
	memcpy(j->buf + j->len, s, len);
	j->len += len;
	return true;
}

static bool
put_quoted(struct json *j, const char *s, size_t len)
{
	bool ok = put(j, "\"", 1);

	for (size_t i = 0; ok && i < len;) {
		uint32_t c;
		size_t n = utf8_decode(s + i, len - i, &c);
		char escaped[8];

		if (!n)
			ok = put(j, "\\ufffd", 6);
		else if (c == '"' || c == '\\')
			ok = put(j, "\\", 1) && put(j, s + i, 1);
		else if (c < 0x20 || c == 0x7f)
			ok = put(j, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x",
							      (unsigned)c));
		else
			ok = put(j, s + i, n);
		i += n ? n : 1;
	}
	return ok && put(j, "\"", 1);
}

static bool
put_key(struct json *j, const char *key, size_t len)
{
	return (j->first || put(j, ",", 1)) && put_quoted(j, key, len) && put(j, ":", 1);
}

/* Takes back what was put of a member that did not fit. */
static bool
settle(struct json *j, bool ok, size_t before)
{
	if (ok) {
		j->first = false;
		return true;
	}
	j->len = before;
	j->cut = true;
	return false;
}

static bool
put_member(struct json *j, const char *key, const char *raw)
{
	size_t before = j->len;

	return settle(j, put_key(j, key, strlen(key)) && put(j, raw, strlen(raw)), before);
}

bool
json_text(struct json *j, const char *key, const char *text, size_t len)
{
	size_t before = j->len;

	if (!text)
		return true;
	return settle(j, put_key(j, key, strlen(key)) && put_quoted(j, text, len), before);
}

bool
json_string(struct json *j, const char *key, const char *text)
{
	return json_text(j, key, text, text ? strlen(text) : 0);
}

bool
json_number(struct json *j, const char *key, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, n);
	return put_member(j, key, text);
}

bool
json_null(struct json *j, const char *key)
{
	return put_member(j, key, "null");
}

bool
json_open(struct json *j, const char *key)
{
	if (j->room - j->len < 1)
		return settle(j, false, j->len);
	j->room--;			/* for what closes it */
	if (!put_member(j, key, "{")) {
		j->room++;
		return false;
	}
	j->first = true;
	return true;
}

void
json_close(struct json *j)
{
	j->room++;
	j->buf[j->len++] = '}';
	j->first = false;
}

bool
json_list_of_one(struct json *j, const char *key, size_t key_len, const char *text, size_t len)
{
	size_t before = j->len;

	return settle(j, put_key(j, key, key_len) && put(j, "[", 1) && put_quoted(j, text, len) &&
			 put(j, "]", 1), before);
}

size_t
json_end(struct json *j)
{
	j->buf[j->len++] = '}';
	return j->len;
}
