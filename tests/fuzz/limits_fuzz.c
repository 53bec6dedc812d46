/* Lines of limiters: none is taken that cannot be asked for; a second source is no error. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy/limits.h"
#include "core/runtime/bucket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check(const struct limit *limit)
{
	if (!limit)
		return;
	assert(limit->key != LIMIT_NONE);
	assert(limit->in <= BUCKET_RATE_MAX / 1000 && limit->out <= BUCKET_RATE_MAX / 1000);
}

static void
try_kind(enum limit_kind kind, const uint8_t *data, size_t len)
{
	struct adit_addr a = { .family = len & 1 ? AF_INET : AF_INET6 };
	struct limits *l = limits_new(kind);
	char *text = malloc(len + 1);

	assert(l && text);
	memcpy(a.ip, data, len < sizeof(a.ip) ? len : sizeof(a.ip));
	for (int i = 0; i < 2; i++) {
		memcpy(text, data, len);
		text[len] = 0;
		if (limits_add_text(l, text, NULL) < 0)
			break;
		if (i && limits_seal(l, NULL) == 0) {
			check(limits_all(l));
			check(limits_each(l));
			check(limits_address(l, &a));
		}
	}
	free(text);
	limits_free(l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_kind(LIMIT_TRAFFIC, data, len);
	try_kind(LIMIT_CONNS, data, len);
	try_kind(LIMIT_RATE, data, len);
	return 0;
}
