#include "core/http/h1_chunk_line.h"

#include "core/http/fields.h"

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 9110, 5.6.4: of a quoted string, but for what has a meaning there. */
static bool
is_text(char c)
{
	return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

/* Behind what may be the last of the line. */
static enum h1_chunk_line
behind(char c)
{
	if (c == '\r')
		return H1_CHUNK_CR;
	if (c == ';')
		return H1_CHUNK_SEMICOLON;
	return is_blank(c) ? H1_CHUNK_BLANK : H1_CHUNK_MALFORMED;
}

static enum h1_chunk_line
in_name(enum h1_chunk_line at, char c)
{
	if (c == '=')
		return H1_CHUNK_EQUALS;
	if (at == H1_CHUNK_NAME && http_is_token(&c, 1))
		return H1_CHUNK_NAME;
	if (is_blank(c))
		return H1_CHUNK_NAME_BLANK;
	/* Blanks have something behind them. */
	return at == H1_CHUNK_NAME_BLANK && c == '\r' ? H1_CHUNK_MALFORMED : behind(c);
}

static enum h1_chunk_line
in_quoted(char c)
{
	if (c == '"')
		return H1_CHUNK_UNQUOTED;
	if (c == '\\')
		return H1_CHUNK_PAIR;
	return is_text(c) ? H1_CHUNK_QUOTED : H1_CHUNK_MALFORMED;
}

static enum h1_chunk_line
behind_equals(char c)
{
	if (c == '"')
		return H1_CHUNK_QUOTED;
	if (is_blank(c))
		return H1_CHUNK_EQUALS;
	return http_is_token(&c, 1) ? H1_CHUNK_TOKEN : H1_CHUNK_MALFORMED;
}

enum h1_chunk_line
h1_chunk_line_next(enum h1_chunk_line at, char c)
{
	switch (at) {
	case H1_CHUNK_BEGIN:
		return is_hex(c) ? H1_CHUNK_SIZE : H1_CHUNK_MALFORMED;
	case H1_CHUNK_SIZE:
		return is_hex(c) ? H1_CHUNK_SIZE : behind(c);
	case H1_CHUNK_CR:
		return c == '\n' ? H1_CHUNK_END : H1_CHUNK_MALFORMED;
	case H1_CHUNK_BLANK:
		return c == '\r' ? H1_CHUNK_MALFORMED : behind(c);
	case H1_CHUNK_SEMICOLON:
		if (is_blank(c))
			return H1_CHUNK_SEMICOLON;
		return http_is_token(&c, 1) ? H1_CHUNK_NAME : H1_CHUNK_MALFORMED;
	case H1_CHUNK_NAME:
	case H1_CHUNK_NAME_BLANK:
		return in_name(at, c);
	case H1_CHUNK_EQUALS:
		return behind_equals(c);
	case H1_CHUNK_TOKEN:
		return http_is_token(&c, 1) ? H1_CHUNK_TOKEN : behind(c);
	case H1_CHUNK_QUOTED:
		return in_quoted(c);
	case H1_CHUNK_PAIR:
		return is_text(c) ? H1_CHUNK_QUOTED : H1_CHUNK_MALFORMED;
	case H1_CHUNK_UNQUOTED:
		return behind(c);
	case H1_CHUNK_END:
	case H1_CHUNK_MALFORMED:
		break;
	}
	return H1_CHUNK_MALFORMED;
}
