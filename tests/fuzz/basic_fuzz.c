/* Basic credentials: what is taken stays within its bounds, and encodes to the same pair. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/basic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), *value;
	struct basic b, again;

	assert(text);
	memcpy(text, data, len);
	text[len] = 0;
	if (basic_decode((struct adit_text){ text, len }, &b) == 0) {
		assert(b.user_len + 1 + b.password_len <= BASIC_MAX);
		assert(!b.text[b.user_len] && !basic_password(&b)[b.password_len]);
		/* A NUL ends what can be encoded. */
		if (strlen(b.text) == b.user_len && strlen(basic_password(&b)) == b.password_len) {
			value = basic_encode(b.text, basic_password(&b));
			assert(value);
			assert(!basic_decode((struct adit_text){ value, strlen(value) }, &again));
			assert(again.user_len == b.user_len && !strcmp(again.text, b.text));
			assert(!strcmp(basic_password(&again), basic_password(&b)));
			free(value);
		}
	}
	free(text);
	return 0;
}
