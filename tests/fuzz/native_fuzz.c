/* adit/1: an answer never changes as more bytes come; what was read can be written. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire/native.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_again(const struct native_msg *m)
{
	uint8_t buf[NATIVE_MAX];
	struct native_msg again;
	ssize_t n = native_encode(m, buf, sizeof(buf));

	assert(n > 0);
	assert(native_need(buf, (size_t)n) == (size_t)n);
	assert(native_decode(buf, (size_t)n, &again, NULL) == n);
	assert(memcmp(m, &again, sizeof(again)) == 0);
	assert(native_encode(m, buf, (size_t)n - 1) == -ENOSPC);
}

static void
check_prefix(const uint8_t *data, size_t n, ssize_t whole)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct native_msg m;
	ssize_t part;

	assert(copy);
	memcpy(copy, data, n);
	part = native_decode(copy, n, &m, NULL);
	assert(part == 0 || part == whole);
	assert(part != 0 || native_need(copy, n) > n);
	assert(part <= 0 || native_need(copy, n) == (size_t)part);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct native_msg m;
	const char *why = NULL;
	ssize_t n = native_decode(data, len, &m, &why);

	if (n < 0)
		assert(why);
	if (n > 0)
		check_again(&m);
	for (size_t i = 0; i < len && i < 64; i++)
		check_prefix(data, i, n);
	if (len)
		check_prefix(data, len - 1, n);
	return 0;
}
