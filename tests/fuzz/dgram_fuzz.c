/* Datagrams in a stream, both framings: headers encode to the same bytes, cut frames need more. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/wire/dgram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
read_dgrams(const uint8_t *data, size_t len)
{
	struct dgram d;
	ssize_t n;

	while ((n = dgram_decode(data, len, &d)) > 0) {
		uint8_t header[DGRAM_HEADER_LEN];

		assert((size_t)n == DGRAM_HEADER_LEN + d.len && (size_t)n <= len);
		assert(dgram_need(data, len) == (size_t)n);
		assert(dgram_encode_header(d.len, header) == DGRAM_HEADER_LEN);
		assert(!memcmp(header, data, sizeof(header)));
		data += n;
		len -= (size_t)n;
	}
	assert(!n && dgram_need(data, len) > len);
}

static void
check_udptun(const uint8_t *data, size_t n, const struct dgram *d)
{
	uint8_t header[UDPTUN_HEADER_MAX];
	ssize_t head = udptun_encode_header(d->len, &d->addr, header);
	struct dgram cut;

	assert(udptun_decode(data, n - 1, &cut, NULL) == 0);
	assert(d->payload + d->len == data + n);
	if (!d->len) {
		assert(head == -EMSGSIZE);
		return;
	}
	assert(head > 0 && (size_t)head + d->len == n);
	header[2] = data[2];		/* FRAG is not looked at */
	assert(!memcmp(header, data, (size_t)head));
}

static void
read_udptun(const uint8_t *data, size_t len)
{
	const char *why = NULL;
	struct dgram d;
	ssize_t n;

	while ((n = udptun_decode(data, len, &d, &why)) > 0) {
		assert((size_t)n <= len);
		check_udptun(data, (size_t)n, &d);
		data += n;
		len -= (size_t)n;
	}
	assert(!n || (n == -EBADMSG && why));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	read_dgrams(data, len);
	read_udptun(data, len);
	return 0;
}
