/* Passwords in what an error message quotes. Lengths stay, so that columns stay right. */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/mask.h"

static const char *const secret_words[] = {
	"auth", "authorization", "cipherkey", "kcp.key", "knock", "passphrase", "password",
	"secret", "token", NULL,
};

static bool
is_secret(const char *key, size_t len)
{
	for (size_t i = 0; secret_words[i]; i++)
		if (strlen(secret_words[i]) == len && !strncasecmp(secret_words[i], key, len))
			return true;
	return false;
}

bool
config_key_is_secret(const char *key)
{
	const char *dot;

	while (!is_secret(key, strlen(key)) && (dot = strchr(key, '.')))
		key = dot + 1;
	return is_secret(key, strlen(key));
}

bool
config_key_is_header(const char *key)
{
	static const char *const ends[] = { "header", "headers" };
	size_t len = strlen(key);

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t end = strlen(ends[i]);

		if (len >= end && strcasecmp(key + len - end, ends[i]) == 0)
			return true;
	}
	return false;
}

/* By what names of fields with credentials have in them: there are more than anybody can list. */
bool
config_field_is_secret(const char *name)
{
	static const char *const words[] = {
		"auth", "cookie", "credential", "jwt", "key", "passw", "secret", "session",
		"signature", "token",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

void
config_mask_query(char *text)
{
	char *item = strchr(text, '?'), *value;

	while (item && *++item) {
		size_t len = strcspn(item, "&#");

		value = memchr(item, '=', len);
		value = value ? value + 1 : item;
		memset(value, '*', (size_t)(item + len - value));
		item = item[len] == '&' ? item + len : NULL;
	}
}

static bool
all_digits(const char *text, const char *end)
{
	while (text < end && isdigit((unsigned char)*text))
		text++;
	return text == end;
}

size_t
config_url_cut_password(const char *host, size_t len, size_t rest)
{
	const char *end = host + len, *colon = memchr(host, ':', len), *at;

	if (!colon || memchr(host, '@', len) || *host == '[' || all_digits(colon + 1, end))
		return 0;
	at = memrchr(end, '@', rest);
	return at ? (size_t)(at - host) : 0;
}

/* user:password@ loses the password, a lone user@ (it may be base64 of both) everything. */
static void
mask_user_info(char *url, size_t len)
{
	char *host = memmem(url, len, "//", 2), *at, *colon;
	size_t n, cut;

	host = host ? host + 2 : url;
	len -= (size_t)(host - url);
	for (n = 0; n < len && host[n] != '/' && host[n] != '?'; n++)
		;
	cut = config_url_cut_password(host, n, len - n);
	at = cut ? host + cut : memrchr(host, '@', n);
	if (!at)
		return;
	colon = memchr(host, ':', (size_t)(at - host));
	colon = colon ? colon + 1 : host;
	memset(colon, '*', (size_t)(at - colon));
}

/* One item of a query: handler.auth=... */
static void
mask_item(char *item, size_t len)
{
	char *value = memchr(item, '=', len), *key = item;

	if (!value)
		return;
	for (char *p = item; p < value; p++)
		if (*p == '.' && !is_secret(key, (size_t)(value - key)))
			key = p + 1;
	if (is_secret(key, (size_t)(value - key)))
		memset(value + 1, '*', (size_t)(item + len - value - 1));
}

static char *
copy_of(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = 0;
	return copy;
}

char *
config_mask_url(const char *url, size_t len)
{
	char *copy = copy_of(url, len), *p, *end, *next;

	if (!copy)
		return NULL;
	mask_user_info(copy, len);
	end = copy + len;
	p = memchr(copy, '?', len);
	for (; p && p < end; p = next) {
		p++;
		next = memchr(p, '&', (size_t)(end - p));
		if (!next)
			next = end;
		mask_item(p, (size_t)(next - p));
	}
	return copy;
}

/* Where the value begins when a secret key ends at p ('password"  : '), else NULL. */
static char *
value_after(char *p, char *end)
{
	if (p < end && (*p == '"' || *p == '\''))
		p++;
	while (p < end && isblank((unsigned char)*p))
		p++;
	if (p == end || *p != ':')
		return NULL;
	p++;
	while (p < end && isblank((unsigned char)*p))
		p++;
	return p;
}

char *
config_mask_line(const char *line, size_t len)
{
	char *copy = copy_of(line, len), *end, *value;
	size_t n;

	if (!copy)
		return NULL;
	end = copy + len;
	for (char *p = copy; p < end; p++) {
		if (p > copy && (isalnum((unsigned char)p[-1]) || p[-1] == '_'))
			continue;
		for (n = 0; p + n < end && (isalnum((unsigned char)p[n]) || p[n] == '.'); n++)
			;
		value = n && is_secret(p, n) ? value_after(p + n, end) : NULL;
		if (!value)
			continue;
		/* To the end of the line: a secret may hold any character, a comma too. */
		memset(value, '*', (size_t)(end - value));
		break;
	}
	return copy;
}
