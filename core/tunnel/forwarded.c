#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/http/fields.h"
#include "core/runtime/addr_range.h"
#include "core/tunnel/forwarded.h"

#define LIST_MAX   4096 /* of X-Forwarded-For: far more proxies than there are */
#define CLAIMS_MAX 32

bool
forwarded_is_trusted(const struct adit_strings *trusted, const struct adit_addr *peer)
{
	struct addr_range range;

	for (size_t i = 0; i < trusted->n; i++)
		if (addr_range_parse(trusted->v[i], &range) == 0 && addr_range_has(&range, peer))
			return true;
	return false;
}

int
forwarded_check_network(const char *text, struct adit_err *e)
{
	struct addr_range range;

	if (addr_range_parse(text, &range) == 0)
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "expected an address or a network, not \"%s\"",
			    text);
}

int
forwarded_check(const struct adit_strings *trusted, struct adit_err *e)
{
	int err = 0;

	for (size_t i = 0; !err && i < trusted->n; i++)
		err = forwarded_check_network(trusted->v[i], e);
	return err;
}

/* Also spelled with underscores, which some servers take for the same field. */
static bool
is_about_client(struct adit_text name)
{
	static const char *const names[] = { "forwarded", "x-real-ip", "cf-connecting-ip",
		                             "true-client-ip" };
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

/* All values of that name as one list, as RFC 9110, 5.3 has it. 0, or -E2BIG. */
static int
list_join(const struct adit_fields *f, const char *name, char *out, size_t size)
{
	size_t used = 0;

	*out = 0;
	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);
		int n;

		if (!http_text_equal(field->name, name, strlen(name)) || !field->value.len)
			continue;
		n = snprintf(out + used, size - used, "%s%s", used ? ", " : "", field->value.s);
		if (n < 0 || (size_t)n >= size - used)
			return -E2BIG;
		used += (size_t)n;
	}
	return 0;
}

/* Adds word to the list of all values of that name. */
static int
list_add(struct adit_fields *f, const char *name, const char *word)
{
	char list[LIST_MAX];
	int err = list_join(f, name, list, sizeof(list));
	size_t len = strlen(list);

	if (!err && len + strlen(word) + 3 > sizeof(list))
		err = -E2BIG;
	if (err)
		return err;
	snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", word);
	return adit_fields_set(f, name, list);
}

/* An address as proxies write it: alone, or with a port. */
static int
claim_parse(struct adit_text claim, struct adit_addr *out)
{
	char text[ADIT_ADDR_TEXT + 2], host[ADIT_ADDR_TEXT + 2];
	uint16_t port;

	if (claim.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, claim.s, claim.len);
	text[claim.len] = 0;
	if (adit_addr_parse(text, 0, out) == 0)
		return 0;
	if (adit_hostport_split(text, host, sizeof(host), &port) < 0)
		return -EINVAL;
	return adit_addr_parse(host, 0, out);
}

/* An element of X-Forwarded-For is an address, one of Forwarded has a parameter that is one. */
static struct adit_text
claim_itself(struct adit_text element)
{
	return element;
}

/* RFC 7239, 4: its "for", without quotes. What is none, "unknown" or a name of one's own. */
static struct adit_text
claim_for(struct adit_text element)
{
	struct adit_text value, name;

	while (http_parts_next(&element, ';', &value)) {
		if (!http_parts_next(&value, '=', &name) || !http_text_equal(name, "for", 3))
			continue;
		if (value.len > 1 && *value.s == '"')
			value = (struct adit_text){ value.s + 1, value.len - 2 };
		return value;
	}
	return (struct adit_text){ .s = "" };
}

/*
 * Whether every quote has an end: one that a stranger has left open would take in what our proxies
 * have written behind it.
 */
static bool
quotes_end(const char *list)
{
	bool quoted = false;

	for (; *list; list++) {
		if (*list == '"')
			quoted = !quoted;
		else if (quoted && *list == '\\' && list[1])
			list++;
	}
	return !quoted;
}

/*
 * Each proxy writes behind what it got who its own peer was. So the list is true from its end up to
 * the first that is not of our proxies: that is the client, and what stands before it anybody may
 * have written.
 */
static bool
believe_list(const struct adit_fields *f, const char *name,
             struct adit_text (*claim_of)(struct adit_text element),
             const struct adit_strings *trusted, struct adit_addr *client)
{
	struct adit_text rest, element, claims[CLAIMS_MAX];
	char list[LIST_MAX];
	size_t n = 0;
	bool found = false;

	if (list_join(f, name, list, sizeof(list)) < 0 || !quotes_end(list))
		return false;
	rest = (struct adit_text){ list, strlen(list) };
	while (http_list_next(&rest, &element))
		claims[n++ % CLAIMS_MAX] = claim_of(element);
	for (size_t i = 0; i < n && i < CLAIMS_MAX; i++) {
		struct adit_addr a;

		if (claim_parse(claims[(n - 1 - i) % CLAIMS_MAX], &a) < 0)
			break;
		*client = a;
		found = true;
		if (!forwarded_is_trusted(trusted, &a))
			break;
	}
	return found;
}

/* Who the client is, by the word of a trusted peer; what is no address is no claim. */
static void
believe(const struct adit_fields *f, const struct adit_strings *trusted, struct adit_addr *client)
{
	static const char *const names[] = { "CF-Connecting-IP", "X-Real-IP" };
	struct adit_addr a;

	if (believe_list(f, "X-Forwarded-For", claim_itself, trusted, client) ||
	    believe_list(f, "Forwarded", claim_for, trusted, client))
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct adit_text claim = adit_fields_get(f, names[i]);

		if (!claim.s || claim_parse(claim, &a) < 0)
			continue;
		*client = a;
		return;
	}
}

/* RFC 7239, 6: an address of IPv6 stands in brackets, and those in quotes. */
static int
forwarded_add(struct adit_fields *f, const struct adit_addr *peer, const char *ip)
{
	char element[ADIT_ADDR_TEXT + 32];

	if (!adit_fields_get(f, "Forwarded").s)
		return 0;
	snprintf(element, sizeof(element), peer->family == AF_INET6 ? "for=\"[%s]\";proto=http" :
		 "for=%s;proto=http", ip);
	return list_add(f, "Forwarded", element);
}

int
forwarded_set(struct adit_fields *f, const struct adit_addr *peer,
              const struct adit_strings *trusted, struct adit_addr *client)
{
	struct adit_text authority = adit_fields_control(f, ADIT_AUTHORITY);
	char ip[ADIT_ADDR_TEXT];
	int err;

	*client = *peer;
	adit_addr_format_ip(peer, ip);
	if (forwarded_is_trusted(trusted, peer))
		believe(f, trusted, client);
	else
		remove_claims(f);
	err = list_add(f, "X-Forwarded-For", ip);
	if (!err)
		err = forwarded_add(f, peer, ip);
	if (!err && authority.s && !adit_fields_get(f, "X-Forwarded-Host").s)
		err = adit_fields_set(f, "X-Forwarded-Host", authority.s);
	if (!err && !adit_fields_get(f, "X-Forwarded-Proto").s)
		err = adit_fields_set(f, "X-Forwarded-Proto", "http");
	return err;
}

int
forwarded_add_node(struct adit_fields *f, const char *node)
{
	return list_add(f, "Gost-Forwarded-Node", node);
}
