/* The first request of HTTP/2: what was found stays as more bytes come, and is within them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/h2_first.h"

#define PREFACE_LEN 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t whole = PREFACE_LEN + len;
	uint8_t *buf = calloc(1, whole);
	struct h2_first first, before;
	struct adit_fields *f;
	int err;

	assert(buf);
	if (len)
		memcpy(buf + PREFACE_LEN, data, len);
	err = h2_first_look(buf, whole, &first);
	assert(first.head + first.head_len <= whole);
	assert(!first.ack || first.ack + H2_FIRST_FRAME <= whole);
	if (!err && !h2_first_look(buf, PREFACE_LEN + len / 2, &before) && before.head)
		assert(before.head == first.head && before.head_len == first.head_len);
	if (!err && first.head && h2_first_request(buf, &first, &f) == 0) {
		assert(adit_fields_control(f, ADIT_METHOD).s);
		adit_fields_free(f);
	}
	free(buf);
	return 0;
}
