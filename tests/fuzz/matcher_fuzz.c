/*
 * Rules: what is taken can be asked, says the same twice, and the opposite below a !, unless it
 * cannot be told; what is refused says where.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct adit_fields *
head_new(void)
{
	struct adit_fields *f = adit_fields_new();

	adit_fields_set_control(f, ADIT_METHOD, "GET", 3);
	adit_fields_set_control(f, ADIT_TARGET, "/a%20b?k=v&n=1", 14);
	adit_fields_set(f, "X-Key", "k1");
	return f;
}

static void
check_opposite(const char *rule, const struct route_request *req, bool found)
{
	struct adit_err e = ADIT_ERR_INIT;
	char *not = malloc(strlen(rule) + 4);
	struct matcher *m;
	size_t at;

	strcpy(not, "!(");
	strcat(not, rule);
	strcat(not, ")");
	m = matcher_new(not, &at, &e);
	if (m && found)
		assert(!matcher_matches(m, req));
	matcher_free(m);
	free(not);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct adit_fields *head = head_new();
	const struct route_request req = {
		.host = "a.example", .protocol = "http", .network = "tcp", .path = { "/a b", 4 },
		.head = head,
	};
	struct adit_err e = ADIT_ERR_INIT;
	char *rule = malloc(len + 1);
	struct matcher *m;
	bool found;
	size_t at;

	memcpy(rule, data, len);
	rule[len] = 0;
	m = matcher_new(rule, &at, &e);
	if (m) {
		found = matcher_matches(m, &req);
		assert(matcher_matches(m, &req) == found);
		check_opposite(rule, &req, found);
	} else {
		assert(e.code < 0 && *e.text && at <= strlen(rule));
	}
	matcher_free(m);
	adit_fields_free(head);
	free(rule);
	return 0;
}
