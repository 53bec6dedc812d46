/* Hosts and addresses as text: what was read writes itself in a form that reads the same. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/wire/addr.h"
#include "core/wire/hostname.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_hostname(const char *text, size_t len)
{
	struct hostname h, again;
	char told[HOSTNAME_MAX + 16];
	int n;

	if (hostname_parse(text, len, &h))
		return;
	assert(h.len == strlen(h.text) && h.len && h.len <= HOSTNAME_MAX);
	assert(h.has_port || !h.port);
	for (const char *p = h.text; *p; p++)
		assert(*p > ' ' && *p < 127 && (*p < 'A' || *p > 'Z'));
	assert(h.kind == HOSTNAME_IPV6 || (*h.text != '.' && h.text[h.len - 1] != '.'));
	n = snprintf(told, sizeof(told), h.kind == HOSTNAME_IPV6 ? "[%s]" : "%s", h.text);
	if (h.has_port)
		n += snprintf(told + n, sizeof(told) - (size_t)n, ":%u", h.port);
	assert(!hostname_parse(told, (size_t)n, &again));
	assert(!memcmp(&h, &again, sizeof(h)));
}

static void
check_addr(const char *text, size_t len)
{
	char told[WIRE_ADDR_TEXT];
	struct wire_addr a, again;
	size_t n;

	if (wire_addr_parse(text, len, &a))
		return;
	n = wire_addr_format(&a, told);
	assert(n && n == strlen(told));
	assert(!wire_addr_parse(told, n, &again));
	assert(!memcmp(&a, &again, sizeof(a)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_hostname((const char *)data, len);
	check_addr((const char *)data, len);
	return 0;
}
