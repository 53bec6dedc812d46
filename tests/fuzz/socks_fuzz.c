/* SOCKS messages: what decodes encodes to bytes that decode to the same. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "core/wire/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_same(const struct wire_addr *a, const struct wire_addr *b)
{
	char x[WIRE_ADDR_TEXT], y[WIRE_ADDR_TEXT];

	assert(wire_addr_format(a, x) == wire_addr_format(b, y) && !strcmp(x, y));
}

static void
check_request(const uint8_t *data, size_t len)
{
	struct socks_request q, again;
	uint8_t out[SOCKS5_REQUEST_MAX];
	const char *why = NULL;
	ssize_t n = socks5_decode_request(data, len, &q, &why);

	assert(n >= 0 || (n == -EBADMSG && why));
	if (n <= 0)
		return;
	assert((size_t)n <= len && n <= SOCKS_MESSAGE_MAX);
	assert(socks5_decode_request(data, (size_t)n - 1, &again, NULL) == 0);
	assert(socks5_encode_request(&q, out) == (size_t)n);
	assert(socks5_decode_request(out, (size_t)n, &again, NULL) == n && again.code == q.code);
	check_same(&again.addr, &q.addr);
}

static void
check_auth(const uint8_t *data, size_t len)
{
	uint8_t out[SOCKS5_AUTH_MAX];
	struct socks_auth a;
	const char *why = NULL;
	ssize_t n = socks5_decode_auth(data, len, &a, &why);

	assert(n >= 0 || (n == -EBADMSG && why));
	if (n <= 0)
		return;
	assert((size_t)n <= len && n <= SOCKS_MESSAGE_MAX);
	assert(socks5_encode_auth(a.user, a.password, out) == n && !memcmp(out, data, (size_t)n));
}

static void
check_four(const uint8_t *data, size_t len)
{
	uint8_t out[SOCKS4_REQUEST_MAX];
	struct socks_request q, again;
	const char *why = NULL;
	ssize_t n = socks4_decode_request(data, len, &q, &why), m;

	assert(n >= 0 || (n == -EBADMSG && why));
	if (n <= 0)
		return;
	assert((size_t)n <= len && n <= SOCKS_MESSAGE_MAX);
	m = socks4_encode_request(&q, "", out);
	assert(m > 0 && socks4_decode_request(out, (size_t)m, &again, NULL) == m);
	assert(again.code == q.code);
	check_same(&again.addr, &q.addr);
}

static void
check_udp(const uint8_t *data, size_t len)
{
	uint8_t out[SOCKS5_UDP_HEADER_MAX];
	const char *why = NULL;
	struct dgram d;
	size_t n;

	if (socks5_decode_udp(data, len, &d, &why) < 0) {
		assert(why);
		return;
	}
	n = socks5_encode_udp_header(&d.addr, out);
	assert(n + d.len == len && d.payload + d.len == data + len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *methods;
	const char *why = NULL;
	size_t count;
	ssize_t n = socks5_decode_greeting(data, len, &methods, &count, &why);

	assert(n >= 0 || (n == -EBADMSG && why));
	assert(n <= 0 || (size_t)n == 2 + count);
	check_auth(data, len);
	check_request(data, len);
	check_four(data, len);
	check_udp(data, len);
	return 0;
}
