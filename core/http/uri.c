#include "core/http/uri.h"

#include <string.h>

struct adit_text
uri_path(struct adit_text target)
{
	const char *mark = target.len ? memchr(target.s, '?', target.len) : NULL;

	if (mark)
		target.len = (size_t)(mark - target.s);
	return target;
}

struct adit_text
uri_query(struct adit_text target)
{
	size_t path = uri_path(target).len;

	if (path == target.len)
		return (struct adit_text){ .s = NULL };
	return (struct adit_text){ target.s + path + 1, target.len - path - 1 };
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
uri_is_odd(struct adit_text path)
{
	return path.len && (memchr(path.s, '%', path.len) || memmem(path.s, path.len, "/.", 2));
}

size_t
uri_decode(struct adit_text text, bool form, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		bool escape = text.s[i] == '%' && i + 2 < text.len &&
			      hex_digit(text.s[i + 1]) >= 0 && hex_digit(text.s[i + 2]) >= 0;

		if (escape) {
			out[n++] = (char)(hex_digit(text.s[i + 1]) * 16 + hex_digit(text.s[i + 2]));
			i += 2;
		} else {
			out[n++] = form && text.s[i] == '+' ? ' ' : text.s[i];
		}
	}
	return n;
}

/* In place. What does not begin with a slash is no path. Returns the length. */
static size_t
remove_dot_segments(char *s, size_t len)
{
	size_t n = 0, end;

	if (!len || *s != '/')
		return len;
	for (size_t i = 0; i < len; i = end) {
		const char *slash = memchr(s + i + 1, '/', len - i - 1);
		bool up, stays;

		end = slash ? (size_t)(slash - s) : len;
		stays = end - i == 2 && s[i + 1] == '.';
		up = end - i == 3 && s[i + 1] == '.' && s[i + 2] == '.';
		while (up && n && s[--n] != '/')
			;
		if (!stays && !up) {
			memmove(s + n, s + i, end - i);
			n += end - i;
		} else if (!slash) {
			s[n++] = '/';
		}
	}
	return n;
}

size_t
uri_normalise(struct adit_text path, char *out)
{
	return remove_dot_segments(out, uri_decode(path, false, out));
}

/* RFC 3986, 3.3: unreserved, sub-delims, ':', '@', and what separates. */
static bool
may_stand(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("-._~!$&'()*+,;=:@/", c);
}

size_t
uri_encode(char c, char out[3])
{
	static const char digits[] = "0123456789ABCDEF";

	out[0] = c;
	if (may_stand(c))
		return 1;
	out[0] = '%';
	out[1] = digits[(unsigned char)c >> 4];
	out[2] = digits[(unsigned char)c & 15];
	return 3;
}

bool
uri_query_next(struct adit_text *query, struct adit_text *name, struct adit_text *value)
{
	const char *end, *equals;

	if (!query->s || !query->len)
		return false;
	end = memchr(query->s, '&', query->len);
	*name = (struct adit_text){ query->s, end ? (size_t)(end - query->s) : query->len };
	*query = end ? (struct adit_text){ end + 1, query->len - name->len - 1 } :
		       (struct adit_text){ .s = NULL };
	equals = name->len ? memchr(name->s, '=', name->len) : NULL;
	*value = (struct adit_text){ name->s + name->len, 0 };
	if (equals) {
		*value = (struct adit_text){ equals + 1,
					     (size_t)(name->s + name->len - equals) - 1 };
		name->len = (size_t)(equals - name->s);
	}
	return true;
}
