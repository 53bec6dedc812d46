#include "core/reverst/strategy.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

int
strategy_digest(const void *text, size_t len, uint8_t out[STRATEGY_DIGEST])
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, text, len, out) < 0 ? -EIO : 0;
}

int
strategy_digest_parse(const char *hex, uint8_t out[STRATEGY_DIGEST])
{
	gnutls_datum_t in = {
		.data = (unsigned char *)(uintptr_t)hex, .size = STRATEGY_DIGEST * 2,
	};
	size_t len = STRATEGY_DIGEST;

	if (strlen(hex) != in.size || strspn(hex, "0123456789abcdefABCDEF") != in.size ||
	    gnutls_hex_decode(&in, out, &len) < 0 || len != STRATEGY_DIGEST)
		return -EINVAL;
	return 0;
}

/* Standard base64 with padding, and nothing else: GnuTLS is more lenient. */
static bool
is_base64(const char *text, size_t len)
{
	size_t padding = 0;

	if (len == 0 || len % 4)
		return false;
	while (padding < 2 && text[len - padding - 1] == '=')
		padding++;
	for (size_t i = 0; i < len - padding; i++)
		if (!text[i] || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789+/", text[i]))
			return false;
	return true;
}

/* Both halves are compared, whatever the first has shown. */
static int
check_pair(const struct strategy *s, const uint8_t *pair, size_t len)
{
	const uint8_t *colon = memchr(pair, ':', len);
	uint8_t user[STRATEGY_DIGEST], password[STRATEGY_DIGEST];
	size_t user_len;
	int differ;

	if (!colon)
		return ADIT_EUNAUTH;
	user_len = (size_t)(colon - pair);
	if (strategy_digest(pair, user_len, user) < 0 ||
	    strategy_digest(colon + 1, len - user_len - 1, password) < 0)
		return ADIT_EUNAUTH;
	differ = gnutls_memcmp(user, s->user, sizeof(user)) != 0;
	differ |= gnutls_memcmp(password, s->secret, sizeof(password)) != 0;
	return differ ? ADIT_EUNAUTH : 0;
}

static int
check_basic(const struct strategy *s, const char *payload, size_t len)
{
	gnutls_datum_t out, in = {
		.data = (unsigned char *)(uintptr_t)payload, .size = (unsigned)len,
	};
	int err;

	if (!is_base64(payload, len) || gnutls_base64_decode2(&in, &out) < 0)
		return ADIT_EUNAUTH;
	err = check_pair(s, out.data, out.size);
	gnutls_memset(out.data, 0, out.size);
	gnutls_free(out.data);
	return err;
}

static int
check_bearer(const struct strategy *s, const char *payload, size_t len)
{
	uint8_t token[STRATEGY_DIGEST];

	if (strategy_digest(payload, len, token) < 0 ||
	    gnutls_memcmp(token, s->secret, sizeof(token)) != 0)
		return ADIT_EUNAUTH;
	return 0;
}

int
strategy_check(const struct strategy *s, const char *payload, size_t len)
{
	if (len > STRATEGY_PAYLOAD_MAX)
		return ADIT_EUNAUTH;
	if (s->kind == STRATEGY_BASIC)
		return check_basic(s, payload, len);
	return s->kind == STRATEGY_BEARER ? check_bearer(s, payload, len) : -EAGAIN;
}
