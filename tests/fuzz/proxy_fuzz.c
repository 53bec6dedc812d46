/* PROXY headers: what decodes encodes, in both versions, to the same addresses. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "core/wire/addr.h"
#include "core/wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Compared as wire_addr, in which an IPv4-mapped address is IPv4. */
static void
check_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct wire_addr x, y;

	assert(!wire_addr_from_sockaddr((const struct sockaddr *)a, &x));
	assert(!wire_addr_from_sockaddr((const struct sockaddr *)b, &y));
	assert(!memcmp(&x, &y, sizeof(x)));
}

static void
check_again(struct proxy_header h, unsigned version)
{
	char out[PROXY_ENCODED_MAX];
	struct proxy_header again;
	ssize_t n;

	h.version = version;
	n = proxy_encode(&h, out);
	assert(n > 0);
	assert(proxy_decode(out, (size_t)n, &again, NULL) == n);
	assert(again.proxied == (h.proxied && (version == 2 || !h.dgram)));
	if (!again.proxied)
		return;
	assert(again.dgram == h.dgram);
	check_same(&again.src, &h.src);
	check_same(&again.dst, &h.dst);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proxy_header h, cut;
	const char *why = NULL;
	ssize_t n = proxy_decode(data, len, &h, &why);

	if (n == -ENOMSG)
		return 0;
	if (n <= 0) {
		assert(n ? n == -EBADMSG && why : len < PROXY_V2_MAX);
		return 0;
	}
	assert(n <= PROXY_V2_MAX && (size_t)n <= len);
	assert(!proxy_decode(data, (size_t)n - 1, &cut, NULL));
	check_again(h, 1);
	check_again(h, 2);
	return 0;
}
