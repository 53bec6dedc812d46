#include "core/runtime/addr_range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
addr_range_parse(const char *text, struct addr_range *out)
{
	char host[ADIT_ADDR_TEXT], *slash;
	unsigned max;
	size_t len;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text);
	slash = strchr(host, '/');
	if (slash)
		*slash = 0;
	if (adit_addr_parse(host, 0, &out->first) < 0)
		return -EINVAL;
	max = out->first.family == AF_INET ? 32 : 128;
	out->bits = max;
	if (!slash)
		return 0;
	len = strspn(slash + 1, "0123456789");
	if (!len || len > 3 || slash[1 + len])
		return -EINVAL;
	out->bits = (unsigned)strtoul(slash + 1, NULL, 10);
	return out->bits <= max ? 0 : -EINVAL;
}

bool
addr_range_has(const struct addr_range *r, const struct adit_addr *a)
{
	unsigned bytes = r->bits / 8, rest = r->bits % 8;

	if (r->first.family != a->family || memcmp(r->first.ip, a->ip, bytes) != 0)
		return false;
	return !rest || (r->first.ip[bytes] ^ a->ip[bytes]) >> (8 - rest) == 0;
}

void
addr_range_mask(struct addr_range *r)
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;
	uint8_t *ip = r->first.ip;

	if (rest) {
		ip[whole] = (uint8_t)(ip[whole] & (0xff << (8 - rest)));
		whole++;
	}
	memset(ip + whole, 0, sizeof(r->first.ip) - whole);
}
