/* ClientHello: an answer never changes as more bytes come, and a name is always a clean one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire/clienthello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_found(const struct clienthello *h)
{
	char again[HOSTNAME_MAX + 1];

	assert(hostname_normalise(h->name, strlen(h->name), again) == (ssize_t)strlen(h->name));
	assert(!strcmp(h->name, again));
}

static void
check_lists(const struct clienthello *h)
{
	size_t at = 0;

	assert(h->n_version >= 1 && h->n_version <= CLIENTHELLO_VERSIONS);
	while (at < h->alpn_len) {
		assert(h->alpn[at]);
		at += 1u + h->alpn[at];
	}
	assert(at == h->alpn_len);
	clienthello_offers(h, "h2");
}

/* What the first n bytes alone say, which must agree with what all of them said. */
static void
check_prefix(const uint8_t *data, size_t n, enum clienthello_result whole)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct clienthello h;
	enum clienthello_result part;

	assert(copy);
	memcpy(copy, data, n);
	part = clienthello_parse(copy, n, &h);
	assert(part == CLIENTHELLO_MORE || part == whole);
	assert(part != CLIENTHELLO_MORE || h.need > n);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct clienthello h;
	enum clienthello_result whole = clienthello_parse(data, len, &h);

	if (whole == CLIENTHELLO_MORE)
		assert(h.need > len && h.need <= CLIENTHELLO_MAX);
	if (whole == CLIENTHELLO_MALFORMED)
		assert(h.why);
	if (whole == CLIENTHELLO_FOUND)
		check_found(&h);
	if (whole == CLIENTHELLO_FOUND || whole == CLIENTHELLO_NO_NAME)
		check_lists(&h);
	for (size_t n = 0; n < len; n += 1 + n / 16)
		check_prefix(data, n, whole);
	return 0;
}
