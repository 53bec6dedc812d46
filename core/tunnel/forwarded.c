#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/http/fields.h"
#include "core/tunnel/forwarded.h"

/* "a.b.c.d/n", "v6/n" or an address. */
static int
network_parse(const char *text, struct adit_addr *net, unsigned *bits)
{
	char host[ADIT_ADDR_TEXT], *slash, *end;
	unsigned max;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text);
	slash = strchr(host, '/');
	if (slash)
		*slash = 0;
	if (adit_addr_parse(host, 0, net) < 0)
		return -EINVAL;
	max = net->family == AF_INET ? 32 : 128;
	*bits = max;
	if (!slash)
		return 0;
	*bits = (unsigned)strtoul(slash + 1, &end, 10);
	return slash[1] && !*end && *bits <= max ? 0 : -EINVAL;
}

static bool
network_has(const struct adit_addr *net, unsigned bits, const struct adit_addr *a)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (net->family != a->family || memcmp(net->ip, a->ip, bytes) != 0)
		return false;
	return !rest || (net->ip[bytes] ^ a->ip[bytes]) >> (8 - rest) == 0;
}

static bool
is_trusted(const struct adit_strings *trusted, const struct adit_addr *peer)
{
	struct adit_addr net;
	unsigned bits;

	for (size_t i = 0; i < trusted->n; i++)
		if (network_parse(trusted->v[i], &net, &bits) == 0 && network_has(&net, bits, peer))
			return true;
	return false;
}

int
forwarded_check(const struct adit_strings *trusted, struct adit_err *e)
{
	struct adit_addr net;
	unsigned bits;

	for (size_t i = 0; i < trusted->n; i++)
		if (network_parse(trusted->v[i], &net, &bits) < 0)
			return adit_err_set(e, ADIT_ECONFIG,
					    "expected an address or a network, not \"%s\"", trusted->v[i]);
	return 0;
}

/* Also spelled with underscores, which some servers take for the same field. */
static bool
is_about_client(struct adit_text name)
{
	static const char *const names[] = { "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip" };
	char lower[32];
	size_t n = name.len < sizeof(lower) - 1 ? name.len : sizeof(lower) - 1;

	for (size_t i = 0; i < n; i++)
		lower[i] = name.s[i] == '_' ? '-' : (char)(name.s[i] | 0x20);
	lower[n] = 0;
	if (strncmp(lower, "x-forwarded-", 12) == 0)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(lower, names[i]) == 0)
			return true;
	return false;
}

static void
remove_claims(struct adit_fields *f)
{
	char name[64];

	for (size_t i = adit_fields_count(f); i-- > 0;) {
		struct adit_text text = adit_fields_at(f, i)->name;

		if (!is_about_client(text) || text.len >= sizeof(name))
			continue;
		memcpy(name, text.s, text.len + 1);
		adit_fields_remove(f, name);
		i = adit_fields_count(f);
	}
}

/* The first address a trusted peer names; what is no address is no claim. */
static void
believe(const struct adit_fields *f, struct adit_addr *client)
{
	static const char *const names[] = { "CF-Connecting-IP", "X-Forwarded-For", "X-Real-IP" };
	struct adit_addr a;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct adit_text list = adit_fields_get(f, names[i]), first;
		char text[ADIT_ADDR_TEXT];

		if (!list.s || !http_list_next(&list, &first) || first.len >= sizeof(text))
			continue;
		memcpy(text, first.s, first.len);
		text[first.len] = 0;
		if (adit_addr_parse(text, 0, &a) == 0) {
			*client = a;
			return;
		}
	}
}

int
forwarded_set(struct adit_fields *f, const struct adit_addr *peer, const struct adit_strings *trusted,
	      struct adit_addr *client)
{
	struct adit_text authority = adit_fields_control(f, ADIT_AUTHORITY), old;
	char ip[ADIT_ADDR_TEXT], list[1024];
	int err = 0;

	*client = *peer;
	adit_addr_format_ip(peer, ip);
	if (is_trusted(trusted, peer)) {
		believe(f, client);
		old = adit_fields_get(f, "X-Forwarded-For");
		snprintf(list, sizeof(list), "%s%s%s", old.s ? old.s : "", old.s ? ", " : "", ip);
	} else {
		remove_claims(f);
		snprintf(list, sizeof(list), "%s", ip);
	}
	err = adit_fields_set(f, "X-Forwarded-For", list);
	if (!err && authority.s && !adit_fields_get(f, "X-Forwarded-Host").s)
		err = adit_fields_set(f, "X-Forwarded-Host", authority.s);
	if (!err && !adit_fields_get(f, "X-Forwarded-Proto").s)
		err = adit_fields_set(f, "X-Forwarded-Proto", "http");
	return err;
}
