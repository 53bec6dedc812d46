/* First bytes and the Host of a partial head: an answer never changes as more bytes come. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was found is a host that reads as itself. */
static void
check_host(const struct hostname *h)
{
	struct hostname again;
	char text[HOSTNAME_MAX + 3];
	size_t n = h->len;

	assert(strlen(h->text) == h->len && h->len);
	memcpy(text, h->text, n);
	if (h->kind == HOSTNAME_IPV6) {
		text[0] = '[';
		memcpy(text + 1, h->text, h->len);
		text[h->len + 1] = ']';
		n += 2;
	}
	assert(!hostname_parse(text, n, &again));
	assert(!strcmp(again.text, h->text) && again.kind == h->kind && !again.has_port);
}

static void
check_prefix(const uint8_t *data, size_t n, enum sniff_protocol protocol, enum sniff_host host)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct hostname h;
	enum sniff_protocol p;
	enum sniff_host s;

	assert(copy);
	memcpy(copy, data, n);
	p = sniff_protocol(copy, n);
	s = sniff_http_host(copy, n, &h);
	assert(p == SNIFF_MORE || p == protocol);
	assert(s == SNIFF_HOST_MORE || s == host);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct hostname h;
	enum sniff_protocol protocol = sniff_protocol(data, len);
	enum sniff_host host = sniff_http_host(data, len, &h);

	assert(protocol != SNIFF_MORE || len <= SNIFF_EMPTY_MAX + SNIFF_METHOD_MAX);
	assert(host != SNIFF_HOST_MORE || len < SNIFF_MAX);
	if (host == SNIFF_HOST_FOUND)
		check_host(&h);
	for (size_t n = 0; n < len; n += 1 + n / 16)
		check_prefix(data, n, protocol, host);
	return 0;
}
