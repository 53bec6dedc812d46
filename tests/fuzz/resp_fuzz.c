/* Answers of a Redis: every element lies within the bytes, and a shorter piece of it is none. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "core/wire/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define BULK_MAX 4096

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		struct resp r, again;
		ssize_t n = resp_decode(data + at, len - at, BULK_MAX, &r);
		const char *end = (const char *)data + at + n;

		assert(n >= 0 || n == -EBADMSG || n == -EMSGSIZE);
		if (n <= 0)
			break;
		assert((size_t)n <= len - at);
		assert(r.len <= BULK_MAX || r.len < RESP_LINE_MAX);
		assert(!r.len || (r.text > (const char *)data + at && r.text + r.len <= end - 2));
		assert(r.type != RESP_ARRAY || r.number >= 0);
		assert(resp_decode(data + at, (size_t)n - 1, BULK_MAX, &again) == 0);
		at += (size_t)n;
	}
	return 0;
}
