/*
 * Registrations and their answers: what is read lies within the bytes, and whether they come at
 * once or one by one the outcome is the same.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire/reverst.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_text(const struct reverst_text *t, const uint8_t *p, size_t len)
{
	assert(!t->len || (t->s >= (const char *)p && t->s + t->len <= (const char *)p + len));
}

static bool
same_text(const struct reverst_text *a, const struct reverst_text *b)
{
	return a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

static void
check(enum reverst_kind kind, const uint8_t *data, size_t len)
{
	struct reverst_decoder once, slow;
	struct reverst_message m, again;
	ssize_t n, k = 0;

	reverst_begin(&once, kind);
	n = reverst_decode(&once, data, len, &m);
	assert(n >= 0 ? (size_t)n <= len : n == -EBADMSG || n == -EMSGSIZE);
	assert((n < 0) == (*once.why != '\0'));
	assert(n <= REVERST_MESSAGE_MAX);

	reverst_begin(&slow, kind);
	for (size_t i = 0; i <= len && k == 0; i++)
		k = reverst_decode(&slow, data, i, &again);
	assert(k == n && strcmp(slow.why, once.why) == 0);
	if (n <= 0)
		return;
	check_text(&m.group, data, (size_t)n);
	check_text(&m.authorization, data, (size_t)n);
	check_text(&m.body, data, (size_t)n);
	assert(same_text(&m.group, &again.group) && same_text(&m.body, &again.body));
	assert(same_text(&m.authorization, &again.authorization));
	assert(m.version == again.version && m.code == again.code);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check(REVERST_REQUEST, data, len);
	check(REVERST_ANSWER, data, len);
	return 0;
}
