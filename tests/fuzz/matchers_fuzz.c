/* Lists of matchers, and hosts asked for: lines of matchers, an empty line, hosts. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy/matchers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct matchers *m = matchers_new();
	char *text = malloc(len + 1), *rest = text, *line;
	struct adit_err e;
	bool asking = false;

	assert(m && text);
	memcpy(text, data, len);
	text[len] = 0;
	while ((line = strsep(&rest, "\n"))) {
		e = (struct adit_err)ADIT_ERR_INIT;
		if (asking) {
			matchers_match(m, line, (uint16_t)len);
		} else if (!*line) {
			matchers_seal(m);
			asking = true;
		} else {
			assert(matchers_add(m, line, &e) == 0 || e.code);
		}
	}
	matchers_free(m);
	free(text);
	return 0;
}
