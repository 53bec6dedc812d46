#include "core/http/basic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "core/http/fields.h"

#define SCHEME	   "Basic"
#define SCHEME_LEN 5
#define BASE64_MAX ((BASIC_MAX + 2) / 3 * 4)

const char *
basic_password(const struct basic *b)
{
	return b->text + b->user_len + 1;
}

/* The user has no colon in it (RFC 7617, section 2); what is behind the first is the password. */
static int
basic_split(struct basic *b, size_t len)
{
	char *colon = memchr(b->text, ':', len);

	if (!colon)
		return -EINVAL;
	*colon = 0;
	b->text[len] = 0;
	b->user_len = (size_t)(colon - b->text);
	b->password_len = len - b->user_len - 1;
	return 0;
}

int
basic_decode(struct adit_text value, struct basic *b)
{
	gnutls_datum_t in, out;
	size_t skip = SCHEME_LEN;
	int err = -EINVAL;

	if (!value.s || value.len <= SCHEME_LEN || value.s[SCHEME_LEN] != ' ' ||
	    !http_text_equal((struct adit_text){ value.s, SCHEME_LEN }, SCHEME, SCHEME_LEN))
		return -EINVAL;
	skip += strspn(value.s + skip, " ");
	in.size = (unsigned)(value.len - skip);
	in.data = malloc(in.size + 1);
	if (!in.data)
		return -ENOMEM;
	memcpy(in.data, value.s + skip, in.size);	/* NUL bytes too: they are no base64 */
	if (in.size && in.size <= BASE64_MAX && gnutls_base64_decode2(&in, &out) == 0) {
		if (out.size <= BASIC_MAX) {
			memcpy(b->text, out.data, out.size);
			err = basic_split(b, out.size);
		}
		gnutls_memset(out.data, 0, out.size);
		gnutls_free(out.data);
	}
	gnutls_memset(in.data, 0, in.size);
	free(in.data);
	return err;
}

char *
basic_encode(const char *user, const char *password)
{
	size_t len = strlen(user) + 1 + strlen(password);
	char *pair = malloc(len + 1), *value = NULL;
	gnutls_datum_t in = { .data = (unsigned char *)pair, .size = (unsigned)len }, out;

	if (!pair)
		return NULL;
	snprintf(pair, len + 1, "%s:%s", user, password);
	if (gnutls_base64_encode2(&in, &out) == 0) {
		if (asprintf(&value, SCHEME " %.*s", (int)out.size, (const char *)out.data) < 0)
			value = NULL;
		gnutls_memset(out.data, 0, out.size);
		gnutls_free(out.data);
	}
	gnutls_memset(pair, 0, len);
	free(pair);
	return value;
}
