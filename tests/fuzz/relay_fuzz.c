/* Relay messages: what decodes encodes again, to the same meaning; a cut one needs more. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_again(const struct relay_msg *m)
{
	static uint8_t first[RELAY_MAX], second[RELAY_MAX];
	struct relay_msg again;
	ssize_t size = relay_size(m);

	assert((size < 0) == (m->n_addr > RELAY_ADDRS));
	if (size < 0)
		return;
	assert(relay_encode(m, first, (size_t)size - 1) == -ENOSPC);
	assert(relay_encode(m, first, (size_t)size) == size);
	assert(relay_decode(first, (size_t)size, &again, NULL) == size);
	assert(relay_encode(&again, second, sizeof(second)) == size);
	assert(!memcmp(first, second, (size_t)size));
	assert(again.n_addr == m->n_addr && again.code == m->code && again.network == m->network);
	assert(!memcmp(again.addr, m->addr, sizeof(m->addr)));
	assert(!memcmp(&again.tunnel, &m->tunnel, sizeof(m->tunnel)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct relay_msg m;
	const char *why = NULL;
	ssize_t n = relay_decode(data, len, &m, &why);

	assert(n <= (ssize_t)len);
	assert(n >= 0 || (n == -EBADMSG && why));
	assert(n != 0 || relay_need(data, len) > len);
	if (n <= 0)
		return 0;
	assert((size_t)n == relay_need(data, len));
	assert(!relay_decode(data, (size_t)n - 1, &(struct relay_msg){ .code = 0 }, NULL));
	for (unsigned i = 0; i < m.n_addr && i < RELAY_ADDRS; i++) {
		char text[WIRE_ADDR_TEXT];

		assert(wire_addr_format(&m.addr[i], text) == strlen(text));
	}
	check_again(&m);
	return 0;
}
