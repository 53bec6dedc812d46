#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/http/fields.h"
#include "core/http/uri.h"
#include "core/service/matcher_int.h"

#define DECODE_STACK 512	/* bytes of a query's part that are decoded without malloc */

/* ---- arguments ------------------------------------------------------------------------------ */

static int
bad_argument(const struct matcher_node *n, unsigned i, size_t *at, struct adit_err *e,
	     const char *wanted)
{
	*at = n->arg_at[i];
	return adit_err_set(e, ADIT_ECONFIG, "%s: expected %s, not \"%.60s\"", n->term->name,
			    wanted, n->arg[i]);
}

static int
init_some(struct matcher_node *n, size_t *at, struct adit_err *e)
{
	return *n->arg[0] ? 0 : bad_argument(n, 0, at, e, "a text");
}

/* Names in other letters arrive as "xn--...". */
static int
init_host(struct matcher_node *n, size_t *at, struct adit_err *e)
{
	for (const char *c = n->arg[0]; *c; c++)
		if (!isgraph((unsigned char)*c))
			return bad_argument(n, 0, at, e, "a host in ASCII");
	return init_some(n, at, e);
}

static int
init_path(struct matcher_node *n, size_t *at, struct adit_err *e)
{
	return *n->arg[0] == '/' ? 0 : bad_argument(n, 0, at, e, "a path that begins with /");
}

static int
init_client(struct matcher_node *n, size_t *at, struct adit_err *e)
{
	return addr_range_parse(n->arg[0], &n->range) == 0 ? 0 :
	       bad_argument(n, 0, at, e, "an address or a network");
}

/* The last argument is a regular expression. */
static int
init_regex(struct matcher_node *n, size_t *at, struct adit_err *e)
{
	unsigned last = n->n_args - 1;
	size_t offset;

	n->regex = regex_new(n->arg[last], strlen(n->arg[last]), &offset, e);
	if (n->regex)
		return 0;
	*at = n->arg_at[last] + offset;
	adit_err_context(e, "%s", n->term->name);
	return e->code;
}

static int
init_named(struct matcher_node *n, size_t *at, struct adit_err *e)
{
	static const char *const words[] = {
		[COMPARE_GT] = "gt", [COMPARE_GE] = "ge", [COMPARE_LT] = "lt",
		[COMPARE_LE] = "le", [COMPARE_EQ] = "eq", [COMPARE_NE] = "ne",
	};
	char *end;

	if (n->n_args < 3)
		return init_some(n, at, e);
	for (int i = COMPARE_GT; i <= COMPARE_NE; i++)
		if (strcmp(n->arg[1], words[i]) == 0)
			n->compare = (enum matcher_compare)i;
	if (!n->compare)
		return bad_argument(n, 1, at, e, "gt, ge, lt, le, eq or ne");
	n->number = strtod(n->arg[2], &end);
	if (end == n->arg[2] || *end)
		return bad_argument(n, 2, at, e, "a number");
	return init_some(n, at, e);
}

/* ---- values --------------------------------------------------------------------------------- */

static bool
text_is(const char *a, const char *b, size_t len)
{
	return strlen(a) == len && memcmp(a, b, len) == 0;
}

static int
compare_number(const struct matcher_node *n, const char *s, size_t len)
{
	char text[64], *end;
	double x;

	if (!len || len >= sizeof(text))
		return 0;
	memcpy(text, s, len);
	text[len] = 0;
	x = strtod(text, &end);
	if (end == text || *end)
		return 0;
	switch (n->compare) {
	case COMPARE_GT:
		return x > n->number;
	case COMPARE_GE:
		return x >= n->number;
	case COMPARE_LT:
		return x < n->number;
	case COMPARE_LE:
		return x <= n->number;
	case COMPARE_EQ:
		return x >= n->number && x <= n->number;
	case COMPARE_NE:
		return x < n->number || x > n->number;
	case COMPARE_NONE:
		break;
	}
	return 0;
}

/* Whether a value of the header or query parameter that n names is what n asks for. */
static int
test_value(const struct matcher_node *n, const char *s, size_t len)
{
	if (n->regex)
		return regex_matches(n->regex, s, len);
	if (n->compare)
		return compare_number(n, s, len);
	return n->n_args == 1 || text_is(n->arg[1], s, len);
}

static int
test_query_value(const struct matcher_node *n, struct adit_text value)
{
	char stack[DECODE_STACK];
	char *out = value.len <= sizeof(stack) ? stack : malloc(value.len);
	int found;

	if (!out)
		return -ENOMEM;
	found = test_value(n, out, uri_decode(value, true, out));
	if (out != stack)
		free(out);
	return found;
}

static bool
query_name_is(struct adit_text name, const char *wanted)
{
	char out[DECODE_STACK];

	/* A name that is longer decodes to one that is as long, but for a third. */
	return name.len <= sizeof(out) && text_is(wanted, out, uri_decode(name, true, out));
}

/* ---- terms ---------------------------------------------------------------------------------- */

static int
test_host(const struct matcher_node *n, const struct route_request *req)
{
	return filter_host_matches(n->arg[0], req->host);
}

static int
test_host_regexp(const struct matcher_node *n, const struct route_request *req)
{
	return req->host && *req->host ?
	       regex_matches(n->regex, req->host, strlen(req->host)) : 0;
}

static int
test_method(const struct matcher_node *n, const struct route_request *req)
{
	struct adit_text method;

	if (!req->head)
		return 0;
	method = adit_fields_control(req->head, ADIT_METHOD);
	return http_text_equal(method, n->arg[0], strlen(n->arg[0]));
}

static int
test_path(const struct matcher_node *n, const struct route_request *req)
{
	return req->path.s && text_is(n->arg[0], req->path.s, req->path.len);
}

static int
test_path_prefix(const struct matcher_node *n, const struct route_request *req)
{
	size_t len = strlen(n->arg[0]);

	return req->path.s && req->path.len >= len && memcmp(req->path.s, n->arg[0], len) == 0;
}

static int
test_path_regexp(const struct matcher_node *n, const struct route_request *req)
{
	return req->path.s ? regex_matches(n->regex, req->path.s, req->path.len) : 0;
}

static int
test_query(const struct matcher_node *n, const struct route_request *req)
{
	struct adit_text query = { .s = NULL }, name, value;
	int found = 0;

	if (req->head)
		query = uri_query(adit_fields_control(req->head, ADIT_TARGET));
	while (found == 0 && uri_query_next(&query, &name, &value))
		if (query_name_is(name, n->arg[0]))
			found = test_query_value(n, value);
	return found;
}

static int
test_header(const struct matcher_node *n, const struct route_request *req)
{
	size_t count = req->head ? adit_fields_count(req->head) : 0;
	int found = 0;

	for (size_t i = 0; found == 0 && i < count; i++) {
		const struct adit_field *f = adit_fields_at(req->head, i);

		if (http_text_equal(f->name, n->arg[0], strlen(n->arg[0])))
			found = test_value(n, f->value.s, f->value.len);
	}
	return found;
}

static int
test_client(const struct matcher_node *n, const struct route_request *req)
{
	return req->client && addr_range_has(&n->range, req->client);
}

static int
test_protocol(const struct matcher_node *n, const struct route_request *req)
{
	return req->protocol && strcasecmp(req->protocol, n->arg[0]) == 0;
}

static int
test_network(const struct matcher_node *n, const struct route_request *req)
{
	return req->network && strncmp(req->network, n->arg[0], strlen(n->arg[0])) == 0;
}

#define NO_BODY "a request's body is passed on unread"
#define NO_OBJECT "it names an object that is not available either"

const struct matcher_term matcher_terms[] = {
	{ .name = "Host", .min_args = 1, .max_args = 1, .init = init_host, .test = test_host },
	{ .name = "HostRegexp", .min_args = 1, .max_args = 1, .init = init_regex,
	  .test = test_host_regexp },
	{ .name = "Method", .min_args = 1, .max_args = 1, .init = init_some,
	  .test = test_method },
	{ .name = "Path", .min_args = 1, .max_args = 1, .init = init_path, .test = test_path },
	{ .name = "PathPrefix", .min_args = 1, .max_args = 1, .init = init_path,
	  .test = test_path_prefix },
	{ .name = "PathRegexp", .min_args = 1, .max_args = 1, .init = init_regex,
	  .test = test_path_regexp },
	{ .name = "Query", .min_args = 1, .max_args = 3, .init = init_named,
	  .test = test_query },
	{ .name = "QueryRegexp", .min_args = 2, .max_args = 2, .init = init_regex,
	  .test = test_query },
	{ .name = "Header", .min_args = 1, .max_args = 3, .init = init_named,
	  .test = test_header },
	{ .name = "HeaderRegexp", .min_args = 2, .max_args = 2, .init = init_regex,
	  .test = test_header },
	{ .name = "ClientIP", .min_args = 1, .max_args = 1, .init = init_client,
	  .test = test_client },
	{ .name = "Proto", .min_args = 1, .max_args = 1, .init = init_some,
	  .test = test_protocol },
	{ .name = "Network", .min_args = 1, .max_args = 1, .init = init_some,
	  .test = test_network },
	{ .name = "BodyRegexp", .min_args = 1, .max_args = 1, .unavailable = NO_BODY },
	{ .name = "BodyJSON", .min_args = 2, .max_args = 2, .unavailable = NO_BODY },
	{ .name = "Bypass", .min_args = 1, .max_args = 1, .unavailable = NO_OBJECT },
	{ .name = "Admission", .min_args = 1, .max_args = 1, .unavailable = NO_OBJECT },
	{ .name = NULL },
};

/* ---- the whole ------------------------------------------------------------------------------ */

/* 1, 0, or a failure. As deep as operators there are at most. */
static int
node_test(const struct matcher *m, uint16_t i, const struct route_request *req)
{
	const struct matcher_node *n = &m->nodes[i];
	int first;

	if (n->op == MATCHER_TERM)
		return n->term->test(n, req);
	first = node_test(m, n->a, req);
	if (first < 0)
		return first;
	if (n->op == MATCHER_NOT)
		return !first;
	return (first > 0) == (n->op == MATCHER_OR) ? first : node_test(m, n->b, req);
}

bool
matcher_matches(const struct matcher *m, const struct route_request *req)
{
	return node_test(m, m->root, req) > 0;
}

bool
matcher_asks_client(const struct matcher *m)
{
	return m->asks_client;
}

void
matcher_free(struct matcher *m)
{
	if (!m)
		return;
	for (unsigned i = 0; m->nodes && i < m->n; i++)
		regex_free(m->nodes[i].regex);
	free(m->nodes);
	free(m->text);
	free(m);
}
