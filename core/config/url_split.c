#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/mask.h"
#include "core/config/url_split.h"

struct tree_pos
url_pos(const struct tree_source *arg, const char *at)
{
	struct tree_pos pos = { .source = arg, .line = 1, .column = 1 };

	for (const char *p = arg->text; p < at && p < arg->text + arg->len; p++)
		pos.column += ((unsigned char)*p & 0xc0) != 0x80;
	return pos;
}

int
url_error(struct config_errors *errs, const struct tree_source *arg, const char *at,
	  const char *fmt, ...)
{
	struct config_problem problem = { .pos = url_pos(arg, at) };
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	config_errors_add(errs, &problem, "%s", text);
	return -1;
}

/* ---- decoding ------------------------------------------------------------- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX and, in a query, + for a blank. Returns the text, or NULL with *bad at the escape that is
 * none. */
static char *
decode(struct arena *a, struct url_slice in, bool query, const char **bad)
{
	char *out = arena_alloc(a, in.len + 1), *o = out;
	const char *end = in.text + in.len;

	*bad = NULL;
	for (const char *p = in.text; out && p < end; p++) {
		int high, low;

		if (*p != '%') {
			*o++ = query && *p == '+' ? ' ' : *p;
			continue;
		}
		high = end - p > 2 ? hex_digit(p[1]) : -1;
		low = end - p > 2 ? hex_digit(p[2]) : -1;
		if (high < 0 || low < 0 || high + low == 0) {
			*bad = p;
			return NULL;
		}
		*o++ = (char)(high * 16 + low);
		p += 2;
	}
	return out;
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Returns the bytes as a text, or NULL when it is no base64 or no text. */
static char *
base64_text(struct arena *a, const char *text)
{
	size_t len = strlen(text), n = 0;
	unsigned long bits = 0;
	char *out;

	while (len && text[len - 1] == '=')
		len--;
	out = len % 4 == 1 ? NULL : arena_alloc(a, len / 4 * 3 + 3);
	for (size_t i = 0; out && i < len; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return NULL;
		bits = (bits << 6 | (unsigned long)digit) & 0xffffff;
		if (i % 4 == 0)
			continue;
		out[n] = (char)(bits >> (6 - 2 * (i % 4)));
		if ((unsigned char)out[n] < ' ' || out[n] == 127)
			return NULL;
		n++;
	}
	return out;
}

int
url_base64_pair(struct arena *a, const char *text, const char **user, const char **password)
{
	char *pair = base64_text(a, text), *colon;

	if (!pair || !*pair)
		return -1;
	colon = strchr(pair, ':');
	if (colon)
		*colon = 0;
	*user = pair;
	*password = colon ? colon + 1 : NULL;
	return 0;
}

/* ---- parts ---------------------------------------------------------------- */

static int
check_characters(const struct tree_source *arg, struct config_errors *errs)
{
	for (const char *p = arg->text; p < arg->text + arg->len; p++)
		if (iscntrl((unsigned char)*p))
			return url_error(errs, arg, p, "control character in a URL");
	return 0;
}

static int
split_scheme(struct url *url, struct url_slice *rest, struct config_errors *errs)
{
	const char *sep = memmem(rest->text, rest->len, "://", 3);
	char *scheme;
	size_t len;

	url->pos = url_pos(url->source, rest->text);
	if (!sep && memmem(rest->text, rest->len, "//", 2))
		return url_error(errs, url->source, memmem(rest->text, rest->len, "//", 2),
				 "no \":\" before \"//\"");
	if (*rest->text == ':' || !sep) {
		url->scheme = "auto";
		url->implied = true;
		return 0;
	}
	len = (size_t)(sep - rest->text);
	for (const char *p = rest->text; p < sep; p++)
		if (!isalnum((unsigned char)*p) && !strchr("+-.", *p))
			return url_error(errs, url->source, p, "\"%c\" cannot stand in a scheme",
					 *p);
	if (!isalpha((unsigned char)*rest->text))
		return url_error(errs, url->source, rest->text, "a scheme begins with a letter");
	scheme = arena_strndup(url->arena, rest->text, len);
	for (char *p = scheme; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	url->scheme = scheme && strcmp(scheme, "https") == 0 ? "http+tls" : scheme;
	rest->text += len + 3;
	rest->len -= len + 3;
	return scheme ? 0 : -1;
}

static int
check_escapes(const struct url *url, struct url_slice part, const char *name,
	      struct config_errors *errs)
{
	const char *bad;

	decode(url->arena, part, false, &bad);
	return bad ? url_error(errs, url->source, bad, "bad escape in the %s", name) : 0;
}

/* Outside of [], where it begins an address's zone, no host has one: names are not decoded. */
static int
check_host(const struct url *url, struct config_errors *errs)
{
	const struct url_slice *host = &url->host;
	bool literal = false;

	for (const char *p = host->text; p < host->text + host->len; p++) {
		if (*p == '[' || *p == ']')
			literal = *p == '[';
		if (*p == '%' && !literal)
			return url_error(errs, url->source, p, "an escape in the host");
	}
	return 0;
}

static int
decode_user(struct url *url, struct url_slice user, struct config_errors *errs)
{
	const char *colon = memchr(user.text, ':', user.len), *bad;
	struct url_slice name = user, password = { .text = NULL };

	if (colon) {
		name.len = (size_t)(colon - user.text);
		password.text = colon + 1;
		password.len = user.len - name.len - 1;
	}
	url->user = decode(url->arena, name, false, &bad);
	if (!bad && colon)
		url->password = decode(url->arena, password, false, &bad);
	return bad ? url_error(errs, url->source, bad, "bad escape in the user part") : 0;
}

/* Up to the next / or ?; the last @ ends the user part. */
static int
split_authority(struct url *url, struct url_slice *rest, struct config_errors *errs)
{
	struct url_slice user;
	const char *at;
	size_t len = 0;

	while (len < rest->len && rest->text[len] != '/' && rest->text[len] != '?')
		len++;
	if (config_url_cut_password(rest->text, len, rest->len - len))
		return url_error(errs, url->source, rest->text + len,
				 "\"%c\" ends the host; in a password it is written %%%02X",
				 rest->text[len], (unsigned)rest->text[len]);
	url->host = (struct url_slice){ .text = rest->text, .len = len };
	rest->text += len;
	rest->len -= len;
	at = memrchr(url->host.text, '@', url->host.len);
	user = url->host;
	user.len = at ? (size_t)(at - user.text) : 0;
	if (at) {
		url->host.text = at + 1;
		url->host.len -= user.len + 1;
	}
	if (at && decode_user(url, user, errs) < 0)
		return -1;
	return check_host(url, errs);
}

/* gost takes the first one without a word, and prints it. */
static void
say_twice(const struct url *url, const char *at, const char *key, struct config_errors *errs)
{
	struct config_problem problem = { .pos = url_pos(url->source, at), .start_only = true };

	config_errors_add(errs, &problem, "parameter \"%.100s\" stands here twice", key);
}

static int
add_param(struct url *url, struct url_slice item, struct config_errors *errs)
{
	const char *equals = memchr(item.text, '=', item.len), *bad;
	struct url_slice name = item, value = { .text = item.text + item.len };
	char *key, *text = NULL;

	if (equals) {
		name.len = (size_t)(equals - item.text);
		value.text = equals + 1;
		value.len = item.len - name.len - 1;
	}
	if (memchr(item.text, ';', item.len))
		return url_error(errs, url->source, item.text,
				 "\";\" in a parameter, write %%3B or \"&\"");
	key = decode(url->arena, name, true, &bad);
	if (!bad)
		text = decode(url->arena, value, true, &bad);
	if (bad)
		return url_error(errs, url->source, bad, "bad escape in a parameter");
	if (!key || !text)
		return -1;
	if (!*key)
		return url_error(errs, url->source, item.text, "parameter without a name");
	if (tree_find(url->params, key) < 0)
		tree_add(url->arena, url->params,
			 tree_scalar(url->arena, url_pos(url->source, name.text), key, false),
			 tree_scalar(url->arena, url_pos(url->source, value.text), text, true));
	else
		say_twice(url, name.text, key, errs);
	return 0;
}

static int
split_query(struct url *url, struct url_slice query, struct config_errors *errs)
{
	const char *end = query.text + query.len, *next;
	int err = 0;

	for (const char *p = query.text; p < end; p = next + 1) {
		next = memchr(p, '&', (size_t)(end - p));
		if (!next)
			next = end;
		if (next > p &&
		    add_param(url, (struct url_slice){ .text = p, .len = (size_t)(next - p) },
			      errs) < 0)
			err = -1;
	}
	return err;
}

bool
url_is_blank(const struct tree_source *arg)
{
	for (size_t i = 0; i < arg->len; i++)
		if (arg->text[i] != ' ')
			return false;
	return true;
}

int
url_names(struct arena *a, const struct url *url, const char **first, const char **second)
{
	const char *plus = strchr(url->scheme, '+');

	*first = *second = url->scheme;
	if (!plus)
		return 0;
	if (strchr(plus + 1, '+'))
		return -1;
	*first = arena_strndup(a, url->scheme, (size_t)(plus - url->scheme));
	*second = plus + 1;
	return *first ? 0 : -1;
}

int
url_split(struct arena *a, const struct tree_source *arg, struct config_errors *errs,
	  struct url *url)
{
	struct url_slice rest = { .text = arg->text, .len = arg->len };
	const char *mark;

	*url = (struct url){ .arena = a, .source = arg };
	for (; rest.len && rest.text[0] == ' '; rest.text++)
		rest.len--;
	while (rest.len && rest.text[rest.len - 1] == ' ')
		rest.len--;
	if (check_characters(arg, errs) < 0 || split_scheme(url, &rest, errs) < 0 ||
	    split_authority(url, &rest, errs) < 0)
		return -1;
	mark = memchr(rest.text, '#', rest.len);
	if (mark)
		rest.len = (size_t)(mark - rest.text);
	url->path = rest;
	url->params = tree_map(a, url->pos);
	mark = memchr(rest.text, '?', rest.len);
	if (mark)
		url->path.len = (size_t)(mark - rest.text);
	if (check_escapes(url, url->path, "path", errs) < 0 || !url->params)
		return -1;
	if (!mark)
		return 0;
	rest.len -= url->path.len + 1;
	rest.text = mark + 1;
	return split_query(url, rest, errs);
}
