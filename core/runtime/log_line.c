#include "core/runtime/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/runtime/utf8.h"

#define STRING_MAX 2048		/* of one value, escaped */
#define CUT "..."
#define TAIL 8			/* room that is kept for the end: "}\n */

/* Appends all of s or nothing. */
static bool
line_put(struct log_line *l, const char *s, size_t len)
{
	if (len > LOG_LINE_MAX - TAIL - l->len)
		return false;
	memcpy(l->text + l->len, s, len);
	l->len += len;
	return true;
}

static bool
line_puts(struct log_line *l, const char *s)
{
	return line_put(l, s, strlen(s));
}

/*
 * What could move a terminal's cursor, break a line or turn the direction of the text that follows.
 */
static bool
unprintable(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Writes the escaped form of the first character of s to out; returns how much of s that was. */
static size_t
escape(const char *s, enum log_format format, char out[8])
{
	static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
	const char *special = strchr(plain, *s);
	uint32_t c;
	size_t len = utf8_decode(s, SIZE_MAX, &c);

	if (special) {
		snprintf(out, 8, "\\%c", letters[special - plain]);
	} else if (!len && format == LOG_JSON) {
		strcpy(out, "\\ufffd");
	} else if (!len) {
		snprintf(out, 8, "\\x%02x", (unsigned char)*s);
	} else if (unprintable(c)) {
		snprintf(out, 8, "\\u%04" PRIx32, c);
	} else {
		memcpy(out, s, len);
		out[len] = 0;
	}
	return len ? len : 1;
}

static bool
line_quoted(struct log_line *l, enum log_format format, const char *s)
{
	size_t end = l->len + STRING_MAX;
	char piece[8];

	if (!line_puts(l, "\""))
		return false;
	while (*s) {
		s += escape(s, format, piece);
		if (l->len + strlen(piece) > end)
			return line_puts(l, CUT "\"");
		if (!line_puts(l, piece))
			return false;
	}
	return line_puts(l, "\"");
}

static bool
needs_quotes(const char *s)
{
	if (!*s)
		return true;
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || *s == '"' || *s == '\\' || *s == '=')
			return true;
	return false;
}

static bool
line_string(struct log_line *l, enum log_format format, const char *s)
{
	if (format == LOG_TEXT && !needs_quotes(s) && strlen(s) <= STRING_MAX)
		return line_puts(l, s);
	return line_quoted(l, format, s);
}

static void
duration_text(uint64_t ns, char *out, size_t size)
{
	static const struct {
		uint64_t	 below, unit;
		const char	*name;
	} rows[] = {
		{ 1000, 1, "ns" }, { 1000000, 1000, "us" }, { 1000000000, 1000000, "ms" },
		{ 60000000000, 1000000000, "s" },
	};
	uint64_t s = ns / 1000000000;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (ns >= rows[i].below)
			continue;
		/* Cut, not rounded, to hundredths: 999.999us must not become "1000us". */
		snprintf(out, size, "%g%s", (double)(ns * 100 / rows[i].unit) / 100, rows[i].name);
		return;
	}
	if (s < 3600)
		snprintf(out, size, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(out, size, "%" PRIu64 "h%" PRIu64 "m%" PRIu64 "s", s / 3600,
			 s / 60 % 60, s % 60);
}

static bool
line_value(struct log_line *l, enum log_format format, const struct adit_log_field *f)
{
	char text[48];

	switch (f->type) {
	case ADIT_LOG_STR:
		return line_string(l, format, f->s);
	case ADIT_LOG_BOOL:
		return line_puts(l, f->b ? "true" : "false");
	case ADIT_LOG_INT:
		snprintf(text, sizeof(text), "%" PRId64, f->i);
		return line_puts(l, text);
	case ADIT_LOG_DURATION:
		if (format == LOG_TEXT) {
			duration_text(f->u, text, sizeof(text));
			return line_puts(l, text);
		}
		break;
	case ADIT_LOG_UINT:
	case ADIT_LOG_END:
		break;
	}
	snprintf(text, sizeof(text), "%" PRIu64, f->u);
	return line_puts(l, text);
}

/* The three keys that every line has are not to be had twice. */
static const char *
key_prefix(const char *key)
{
	bool taken = !strcmp(key, "time") || !strcmp(key, "level") || !strcmp(key, "msg");

	return taken ? "fields." : "";
}

static bool
line_key(struct log_line *l, enum log_format format, const char *key)
{
	if (format == LOG_TEXT)
		return line_puts(l, " ") && line_puts(l, key_prefix(key)) && line_puts(l, key) &&
		       line_puts(l, "=");
	return line_puts(l, ",\"") && line_puts(l, key_prefix(key)) && line_puts(l, key) &&
	       line_puts(l, "\":");
}

static bool
is_absent(const struct adit_log_field *f)
{
	return f->type == ADIT_LOG_STR && !f->s;
}

static bool
is_replaced(const struct adit_log_field *f)
{
	for (const struct adit_log_field *g = f + 1; g->type != ADIT_LOG_END; g++)
		if (!is_absent(g) && !strcmp(f->key, g->key))
			return true;
	return false;
}

static void
line_fields(struct log_line *l, enum log_format format, const struct adit_log_field *f)
{
	for (; f && f->type != ADIT_LOG_END; f++) {
		size_t before = l->len;

		if (is_absent(f) || is_replaced(f))
			continue;
		if (!line_key(l, format, f->key) || !line_value(l, format, f))
			l->len = before;	/* a shorter one may still fit */
	}
}

const char *
log_level_name(enum adit_log_level level)
{
	static const char *const names[] = {
		[ADIT_LOG_TRACE] = "trace", [ADIT_LOG_DEBUG] = "debug", [ADIT_LOG_INFO] = "info",
		[ADIT_LOG_WARN] = "warn",   [ADIT_LOG_ERROR] = "error", [ADIT_LOG_FATAL] = "fatal",
		[ADIT_LOG_NONE] = "none",
	};

	return level <= ADIT_LOG_NONE ? names[level] : "none";
}

/* RFC 3339 with milliseconds; "Z" where the local time is UTC. */
static void
time_text(const struct timespec *when, char *out, size_t size)
{
	char date[40], zone[8];
	struct tm tm;

	localtime_r(&when->tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	if (tm.tm_gmtoff) {
		long minutes = (tm.tm_gmtoff < 0 ? -tm.tm_gmtoff : tm.tm_gmtoff) / 60;

		snprintf(zone, sizeof(zone), "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
			 minutes / 60 % 24, minutes % 60);
	} else {
		strcpy(zone, "Z");
	}
	snprintf(out, size, "%s.%03ld%s", date, when->tv_nsec / 1000000, zone);
}

void
log_line_format(struct log_line *l, enum log_format format, const struct log_event *ev)
{
	bool json = format == LOG_JSON;
	char when[64];

	/* The first three always fit: two short ones, and a message that is cut. */
	l->len = 0;
	time_text(&ev->when, when, sizeof(when));
	line_puts(l, json ? "{\"time\":\"" : "time=");
	line_puts(l, when);
	line_puts(l, json ? "\",\"level\":\"" : " level=");
	line_puts(l, log_level_name(ev->level));
	line_puts(l, json ? "\",\"msg\":" : " msg=");
	line_string(l, format, ev->msg);
	line_fields(l, format, ev->fields);
	memcpy(l->text + l->len, json ? "}\n" : "\n", json ? 2 : 1);
	l->len += json ? 2 : 1;
}
