#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/fields.h"
#include "core/http/section.h"

#define T(literal) ((struct adit_text){ literal, sizeof(literal) - 1 })
#define LIMIT 65536

/* Fields as "name: value" lines; a pseudo-field begins with its colon. */
#define LINES 12

struct row {
	const char	*what;
	const char	*lines[LINES];
	const char	*why;		/* NULL: taken */
};

static const struct section_rules request_rules = {
	.kind = SECTION_REQUEST, .version = 30, .limit = LIMIT,
};
static const struct section_rules extended_rules = {
	.kind = SECTION_REQUEST, .version = 30, .limit = LIMIT, .extended = true,
};
static const struct section_rules response_rules = {
	.kind = SECTION_RESPONSE, .version = 20, .limit = LIMIT,
};
static const struct section_rules trailer_rules = {
	.kind = SECTION_TRAILERS, .version = 20, .limit = LIMIT,
};

static int
add_line(struct section *s, const char *line)
{
	const char *colon = strstr(line + 1, ": ");

	assert_non_null(colon);
	return section_add(s, (struct adit_text){ line, (size_t)(colon - line) },
			   (struct adit_text){ colon + 2, strlen(colon + 2) });
}

/* What became of such a section; *s tells more. */
static int
take(struct section *s, const struct section_rules *rules, const char *const lines[LINES],
     struct adit_fields **out)
{
	section_begin(s, rules);
	for (int i = 0; i < LINES && lines[i]; i++)
		add_line(s, lines[i]);
	return section_done(s, out);
}

static void
check_rows(const struct section_rules *rules, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct adit_fields *f;
		struct section s;
		int err = take(&s, rules, rows[i].lines, &f);

		if (rows[i].why && (err != -EBADMSG || f || strcmp(s.why, rows[i].why) != 0))
			fail_msg("%s: %d %s", rows[i].what, err, s.why ? s.why : "");
		if (!rows[i].why && (err || !f))
			fail_msg("%s: %d %s", rows[i].what, err, s.why ? s.why : "");
		adit_fields_free(f);
	}
}

#define CHECK(rules, rows) check_rows(rules, rows, sizeof(rows) / sizeof(*(rows)))
#define GET ":method: GET", ":scheme: https", ":authority: a.example", ":path: /"

static void
assert_text(struct adit_text t, const char *expected)
{
	assert_non_null(t.s);
	assert_int_equal(t.len, strlen(expected));
	assert_memory_equal(t.s, expected, t.len + 1);
}

static void
a_request_becomes_control_data_and_fields(void **state)
{
	static const char *const lines[LINES] = { ":method: POST", ":path: /a?b", ":scheme: https",
						  ":authority: a.example:8443", "x-a: 1", "x-b: ",
						  "content-length: 5", "te: trailers" };
	struct adit_fields *f;
	struct section s;

	(void)state;
	assert_int_equal(take(&s, &request_rules, lines, &f), 0);
	assert_text(adit_fields_control(f, ADIT_METHOD), "POST");
	assert_text(adit_fields_control(f, ADIT_TARGET), "/a?b");
	assert_text(adit_fields_control(f, ADIT_SCHEME), "https");
	assert_text(adit_fields_control(f, ADIT_AUTHORITY), "a.example:8443");
	assert_int_equal(adit_fields_version(f), 30);
	assert_int_equal(adit_fields_status(f), 0);
	assert_int_equal(adit_fields_count(f), 4);
	assert_text(adit_fields_at(f, 0)->name, "x-a");
	assert_text(adit_fields_get(f, "x-b"), "");
	assert_int_equal(s.length, 5);
	adit_fields_free(f);
}

static void
a_response_becomes_a_status_and_fields(void **state)
{
	static const char *const lines[LINES] = { ":status: 999", "x-a: 1" };
	struct adit_fields *f;
	struct section s;

	(void)state;
	assert_int_equal(take(&s, &response_rules, lines, &f), 0);
	assert_int_equal(adit_fields_status(f), 999);
	assert_int_equal(adit_fields_version(f), 20);
	assert_int_equal(adit_fields_count(f), 1);
	assert_true(s.length == SECTION_NO_LENGTH);
	adit_fields_free(f);
}

/* RFC 9113, 8.3 and 8.3.1; RFC 9114, 4.3 and 4.3.1. */
static void
pseudo_fields_of_requests_are_checked(void **state)
{
	static const struct row rows[] = {
		{ "plain", { GET }, NULL },
		{ "behind a field",
		  { ":method: GET", ":scheme: https", "a: b", ":path: /" },
		  "pseudo-field behind a field" },
		{ "twice", { GET, ":path: /" }, "pseudo-field given twice" },
		{ "unknown", { GET, ":x: y" }, "unknown pseudo-field" },
		{ "upper case", { ":Method: GET" }, "unknown pseudo-field" },
		{ "of a response", { GET, ":status: 200" }, "pseudo-field out of place" },
		{ "protocol unasked",
		  { GET, ":protocol: websocket" },
		  "pseudo-field out of place" },
		{ "no method", { ":scheme: https", ":authority: a", ":path: /" }, "no :method" },
		{ "no scheme", { ":method: GET", ":authority: a", ":path: /" }, "no :scheme" },
		{ "no path", { ":method: GET", ":scheme: https", ":authority: a" }, "no :path" },
		{ "empty method", { ":method: " }, "malformed :method" },
		{ "method", { ":method: GE T" }, "malformed :method" },
		{ "empty scheme", { ":scheme: " }, "malformed :scheme" },
		{ "scheme", { ":scheme: 1a" }, "malformed :scheme" },
		{ "empty path", { ":path: " }, "malformed :path" },
		{ "path with a blank", { ":path: /a b" }, "malformed :path" },
		{ "path with a fragment", { ":path: /a#b" }, "malformed :path" },
		{ "path that begins otherwise",
		  { ":method: GET", ":scheme: https", ":authority: a", ":path: a" },
		  "malformed :path" },
		{ "absolute path",
		  { ":method: GET", ":scheme: https", ":authority: a", ":path: http://b/" },
		  "malformed :path" },
		{ "asterisk",
		  { ":method: GET", ":scheme: https", ":authority: a", ":path: *" },
		  "malformed :path" },
		{ "asterisk and more",
		  { ":method: OPTIONS", ":scheme: https", ":authority: a", ":path: **" },
		  "malformed :path" },
		{ "asterisk of OPTIONS",
		  { ":method: OPTIONS", ":scheme: https", ":authority: a", ":path: *" },
		  NULL },
		{ "a method is compared with case",
		  { ":method: options", ":scheme: https", ":authority: a", ":path: *" },
		  "malformed :path" },
		{ "nothing at all", { NULL }, "no :method" },
	};

	(void)state;
	CHECK(&request_rules, rows);
}

static void
authority_and_host_are_one(void **state)
{
	static const struct row rows[] = {
		{ "neither",
		  { ":method: GET", ":scheme: https", ":path: /" },
		  "neither :authority nor host" },
		{ "of another scheme", { ":method: GET", ":scheme: x", ":path: /" }, NULL },
		{ "equal without case", { GET, "host: A.Example" }, NULL },
		{ "different", { GET, "host: b.example" }, "host is not :authority" },
		{ "different in the port", { GET, "host: a.example:443" },
		  "host is not :authority" },
		{ "empty host", { GET, "host: " }, "host is not :authority" },
		{ "two hosts", { GET, "host: a.example", "host: a.example" },
		  "more than one host" },
		{ "empty", { ":authority: " }, "malformed :authority" },
		{ "user information", { ":authority: u@a" }, "malformed :authority" },
		{ "no port", { ":authority: a:x" }, "malformed :authority" },
		{ "large port", { ":authority: a:65536" }, "malformed :authority" },
		{ "open bracket", { ":authority: [::1" }, "malformed :authority" },
		{ "address", { ":method: GET", ":scheme: http", ":authority: [::1]:8", ":path: /" },
		  NULL },
		{ "host alone, malformed",
		  { ":method: GET", ":scheme: https", ":path: /", "host: u@a" },
		  "malformed host" },
		{ "host alone, empty",
		  { ":method: GET", ":scheme: https", ":path: /", "host: " },
		  "malformed host" },
	};
	static const char *const alone[LINES] = { ":method: GET", ":scheme: https", ":path: /",
						  "host: b.example", "a: b" };
	struct adit_fields *f;
	struct section s;

	(void)state;
	CHECK(&request_rules, rows);
	assert_int_equal(take(&s, &request_rules, alone, &f), 0);
	assert_text(adit_fields_control(f, ADIT_AUTHORITY), "b.example");
	assert_null(adit_fields_get(f, "host").s);
	assert_int_equal(adit_fields_count(f), 1);
	adit_fields_free(f);
}

/* RFC 9113, 8.5; RFC 9114, 4.4; RFC 8441, 4; RFC 9220. */
static void
connect_is_checked(void **state)
{
	static const struct row plain[] = {
		{ "CONNECT", { ":method: CONNECT", ":authority: a:443" }, NULL },
		{ "without a port", { ":method: CONNECT", ":authority: a" },
		  "malformed :authority of CONNECT" },
		{ "without :authority", { ":method: CONNECT", "host: a:443" },
		  "CONNECT without :authority" },
		{ "with :path", { ":method: CONNECT", ":authority: a:443", ":path: /" },
		  "CONNECT with :scheme or :path" },
		{ "with :scheme", { ":method: CONNECT", ":authority: a:443", ":scheme: https" },
		  "CONNECT with :scheme or :path" },
		{ "with another host", { ":method: CONNECT", ":authority: a:443", "host: b:443" },
		  "host is not :authority" },
	};
	static const struct row extended[] = {
		{ "plain", { ":method: CONNECT", ":authority: a:443" }, NULL },
		{ "extended",
		  { ":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /",
		    ":authority: a" },
		  NULL },
		{ "without :path",
		  { ":method: CONNECT", ":protocol: websocket", ":scheme: https",
		    ":authority: a" },
		  "no :path" },
		{ "without :scheme",
		  { ":method: CONNECT", ":protocol: websocket", ":path: /", ":authority: a" },
		  "no :scheme" },
		{ "without :authority",
		  { ":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /" },
		  "neither :authority nor host" },
		{ "of another method", { GET, ":protocol: websocket" },
		  ":protocol without CONNECT" },
		{ "empty", { ":protocol: " }, "malformed :protocol" },
	};

	(void)state;
	CHECK(&request_rules, plain);
	CHECK(&extended_rules, extended);
}

/* RFC 9113, 8.3.2; RFC 9114, 4.3.2; RFC 9110, 15. */
static void
pseudo_fields_of_responses_are_checked(void **state)
{
	static const struct row rows[] = {
		{ "plain", { ":status: 200" }, NULL },
		{ "none", { "a: b" }, "no :status" },
		{ "nothing at all", { NULL }, "no :status" },
		{ "empty", { ":status: " }, "malformed :status" },
		{ "two digits", { ":status: 20" }, "malformed :status" },
		{ "four digits", { ":status: 2000" }, "malformed :status" },
		{ "a letter", { ":status: 2x0" }, "malformed :status" },
		{ "a sign", { ":status: +20" }, "malformed :status" },
		{ "no class", { ":status: 099" }, "malformed :status" },
		{ "101", { ":status: 101" }, "status 101" },
		{ "twice", { ":status: 200", ":status: 200" }, "pseudo-field given twice" },
		{ "of a request", { ":status: 200", ":path: /" }, "pseudo-field out of place" },
		{ "behind a field", { "a: b", ":status: 200" }, "pseudo-field behind a field" },
	};

	(void)state;
	CHECK(&response_rules, rows);
}

/* RFC 9113, 8.1; RFC 9114, 4.1: no pseudo-fields; RFC 9110, 6.5.1. */
static void
trailers_are_checked(void **state)
{
	static const struct row rows[] = {
		{ "plain", { "a: b" }, NULL },
		{ "none", { NULL }, NULL },
		{ "pseudo-field", { ":status: 200" }, "pseudo-field in trailers" },
		{ "unknown pseudo-field", { ":x: y" }, "pseudo-field in trailers" },
		{ "connection", { "connection: close" }, "connection-specific field" },
		{ "length", { "content-length: x" }, "malformed content-length" },
	};
	static const char *const framing[LINES] = { "content-length: 5", "host: a", "a: b" };
	struct adit_fields *f;
	struct section s;

	(void)state;
	CHECK(&trailer_rules, rows);
	assert_int_equal(take(&s, &trailer_rules, framing, &f), 0);
	assert_int_equal(adit_fields_count(f), 1);
	assert_text(adit_fields_at(f, 0)->name, "a");
	assert_true(s.length == SECTION_NO_LENGTH);
	adit_fields_free(f);
}

/* RFC 9113, 8.2.1; RFC 9114, 4.2 and 10.3. */
static void
names_and_values_are_checked(void **state)
{
	static const struct row rows[] = {
		{ "upper case", { GET, "aB: c" }, "malformed field name" },
		{ "a blank", { GET, "a b: c" }, "malformed field name" },
		{ "a colon", { GET, "a:b: c" }, "malformed field name" },
		{ "beyond ASCII", { GET, "a\xc3\xa4: c" }, "malformed field name" },
		{ "blank in front", { GET, "a:  c" }, "blanks around a field value" },
		{ "blank behind", { GET, "a: c " }, "blanks around a field value" },
		{ "tab behind", { GET, "a: c\t" }, "blanks around a field value" },
		{ "blank alone", { GET, "a:  " }, "blanks around a field value" },
		{ "blank within", { GET, "a: b c" }, NULL },
		{ "CR", { GET, "a: b\rc" }, "malformed field" },
		{ "LF", { GET, "a: b\nc" }, "malformed field" },
		{ "beyond ASCII in a value", { GET, "a: \xff" }, NULL },
		{ "connection", { GET, "connection: close" }, "connection-specific field" },
		{ "keep-alive", { GET, "keep-alive: 1" }, "connection-specific field" },
		{ "proxy-connection", { GET, "proxy-connection: x" },
		  "connection-specific field" },
		{ "transfer-encoding", { GET, "transfer-encoding: chunked" },
		  "connection-specific field" },
		{ "upgrade", { GET, "upgrade: h2c" }, "connection-specific field" },
		{ "te", { GET, "te: gzip" }, "te other than trailers" },
		{ "te: trailers", { GET, "te: trailers" }, NULL },
	};
	struct adit_fields *f;
	struct section s;

	(void)state;
	CHECK(&request_rules, rows);
	section_begin(&s, &trailer_rules);
	assert_int_equal(section_add(&s, T("a"), T("b\0c")), -EBADMSG);
	assert_int_equal(section_done(&s, &f), -EBADMSG);
	section_begin(&s, &trailer_rules);
	assert_int_equal(section_add(&s, T(""), T("b")), -EBADMSG);
	assert_string_equal(s.why, "malformed field name");
	section_drop(&s);
}

/* RFC 9110, 8.6; RFC 9113, 8.1.1; RFC 9114, 4.1.2. */
static void
lengths_are_checked(void **state)
{
	static const struct row requests[] = {
		{ "empty", { GET, "content-length: " }, "malformed content-length" },
		{ "sign", { GET, "content-length: +1" }, "malformed content-length" },
		{ "list", { GET, "content-length: 1, 1" }, "malformed content-length" },
		{ "too large", { GET, "content-length: 99999999999999999999" },
		  "malformed content-length" },
		{ "again", { GET, "content-length: 1", "content-length: 1" }, NULL },
		{ "another", { GET, "content-length: 1", "content-length: 2" },
		  "conflicting content-length" },
	};
	static const struct row responses[] = {
		{ "1xx", { ":status: 103", "content-length: 0" },
		  "content-length where no content can be" },
		{ "204", { ":status: 204", "content-length: 5" },
		  "content-length where no content can be" },
		{ "304", { ":status: 304", "content-length: 5" }, NULL },
		{ "204 that says 0", { ":status: 204", "content-length: 0" }, NULL },
	};

	(void)state;
	CHECK(&request_rules, requests);
	CHECK(&response_rules, responses);
}

static void
lengths_that_say_nothing_are_dropped(void **state)
{
	static const char *const again[LINES] = { GET, "content-length: 7", "content-length: 7" };
	static const char *const connect[LINES] = { ":method: CONNECT", ":authority: a:1",
						    "content-length: 7" };
	static const char *const none[LINES] = { ":status: 204", "content-length: 0" };
	struct adit_fields *f;
	struct section s;

	(void)state;
	assert_int_equal(take(&s, &request_rules, again, &f), 0);
	assert_int_equal(adit_fields_count(f), 1);
	assert_int_equal(s.length, 7);
	adit_fields_free(f);
	assert_int_equal(take(&s, &request_rules, connect, &f), 0);
	assert_int_equal(adit_fields_count(f), 0);
	assert_true(s.length == SECTION_NO_LENGTH);
	adit_fields_free(f);
	assert_int_equal(take(&s, &response_rules, none, &f), 0);
	assert_int_equal(adit_fields_count(f), 0);
	assert_true(s.length == SECTION_NO_LENGTH);
	adit_fields_free(f);
}

/* RFC 9113, 8.2.3; RFC 9114, 4.2.1. */
static void
cookies_are_joined(void **state)
{
	static const char *const lines[LINES] = { GET, "a: b", "cookie: c=1", "d: e",
						  "cookie: f=2", "cookie: ",
						  "cookie: g=3", "cookie: " };
	struct adit_fields *f;
	struct section s;

	(void)state;
	assert_int_equal(take(&s, &request_rules, lines, &f), 0);
	assert_int_equal(adit_fields_count(f), 3);
	assert_text(adit_fields_at(f, 1)->name, "cookie");
	assert_text(adit_fields_at(f, 1)->value, "c=1; f=2; g=3");
	assert_text(adit_fields_at(f, 2)->name, "d");
	assert_int_equal(fields_bytes(f), sizeof("a: b\r\n"
						 "cookie: c=1; f=2; g=3\r\n"
						 "d: e\r\n") -
					  1 + sizeof("GEThttpsa.example/") - 1);
	adit_fields_free(f);
}

/* RFC 9113, 6.5.2: names, values, and 32 for each. */
static void
the_limit_counts_what_a_field_costs(void **state)
{
	struct section_rules rules = trailer_rules;
	struct adit_fields *f;
	struct section s;

	(void)state;
	rules.limit = 2 * 32 + 6;
	section_begin(&s, &rules);
	assert_int_equal(section_add(&s, T("a"), T("bc")), 0);
	assert_int_equal(section_add(&s, T("d"), T("ef")), 0);
	assert_int_equal(section_add(&s, T("g"), T("")), -E2BIG);
	assert_int_equal(section_add(&s, T("Malformed"), T("")), -E2BIG);
	assert_int_equal(section_done(&s, &f), -E2BIG);
	assert_null(f);
	rules.limit--;
	section_begin(&s, &rules);
	assert_int_equal(section_add(&s, T("a"), T("bc")), 0);
	assert_int_equal(section_add(&s, T("d"), T("ef")), -E2BIG);
	section_drop(&s);
}

static void
the_number_of_fields_is_limited(void **state)
{
	struct adit_fields *f;
	struct section s;

	(void)state;
	section_begin(&s, &trailer_rules);
	for (int i = 0; i < FIELDS_MAX; i++)
		assert_int_equal(section_add(&s, T("a"), T("b")), 0);
	assert_int_equal(section_add(&s, T("a"), T("b")), -E2BIG);
	assert_int_equal(section_done(&s, &f), -E2BIG);
}

/* ---- given ----------------------------------------------------------------------------- */

/* The list as lines, those that may not be indexed with a '!' behind. */
static void
assert_list(const struct section_list *list, const char *const *expected)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		const struct section_field *field = &list->v[i];
		char line[256];

		snprintf(line, sizeof(line), "%.*s: %.*s%s", (int)field->name.len, field->name.s,
			 (int)field->value.len, field->value.s, field->secret ? "!" : "");
		assert_non_null(expected[i]);
		assert_string_equal(line, expected[i]);
	}
	assert_null(expected[i]);
}

static struct adit_fields *
request(const char *method, const char *authority, const char *target)
{
	struct adit_fields *f = adit_fields_new();

	adit_fields_set_control(f, ADIT_METHOD, method, strlen(method));
	adit_fields_set_control(f, ADIT_AUTHORITY, authority, strlen(authority));
	if (target)
		adit_fields_set_control(f, ADIT_TARGET, target, strlen(target));
	return f;
}

static void
a_request_is_taken_apart(void **state)
{
	static const char *const expected[] = {
		":method: GET", ":scheme: https", ":authority: a:1", ":path: /x", "accept: A",
		"authorization: b!", "cookie: c!", "te: trailers", "x-lower: d",
		"proxy-authorization: e!", "content-length: 3", NULL,
	};
	struct adit_fields *f = request("GET", "a:1", "/x");
	struct section_list list;

	(void)state;
	adit_fields_add(f, T("Accept"), T("A"));
	adit_fields_add(f, T("Authorization"), T("b"));
	adit_fields_add(f, T("Connection"), T("close"));
	adit_fields_add(f, T("Keep-Alive"), T("1"));
	adit_fields_add(f, T("Proxy-Connection"), T("1"));
	adit_fields_add(f, T("Transfer-Encoding"), T("chunked"));
	adit_fields_add(f, T("Upgrade"), T("x"));
	adit_fields_add(f, T("Host"), T("other"));
	adit_fields_add(f, T("TE"), T("gzip"));
	adit_fields_add(f, T("Cookie"), T("c"));
	adit_fields_add(f, T("TE"), T("trailers"));
	adit_fields_add(f, T("x-lower"), T("d"));
	adit_fields_add(f, T("Proxy-Authorization"), T("e"));
	adit_fields_add(f, T("Content-Length"), T("3"));
	adit_fields_add(f, T("content-length"), T("3"));
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), 0);
	assert_list(&list, expected);
	assert_int_equal(list.length, 3);
	section_list_free(&list);
	adit_fields_free(f);
}

static void
connect_is_taken_apart(void **state)
{
	static const char *const plain[] = { ":method: CONNECT", ":authority: a:1", NULL };
	static const char *const extended[] = {
		":method: CONNECT", ":scheme: https", ":authority: a:1", ":path: /x",
		":protocol: websocket", NULL,
	};
	struct adit_fields *f = request("CONNECT", "a:1", NULL);
	struct section_list list;

	(void)state;
	adit_fields_add(f, T("Content-Length"), T("3"));
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), 0);
	assert_list(&list, plain);
	assert_true(list.length == SECTION_NO_LENGTH);
	section_list_free(&list);
	adit_fields_set_control(f, ADIT_PROTOCOL, "websocket", 9);
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), -EINVAL);
	adit_fields_set_control(f, ADIT_TARGET, "/x", 2);
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), 0);
	assert_list(&list, extended);
	section_list_free(&list);
	adit_fields_set_control(f, ADIT_METHOD, "GET", 3);
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), -EINVAL);
	adit_fields_free(f);
}

static void
host_stands_for_the_authority(void **state)
{
	static const char *const expected[] = { ":method: GET", ":scheme: http",
						":authority: b", ":path: /", NULL };
	struct adit_fields *f = request("GET", "a", "/");
	struct section_list list;

	(void)state;
	adit_fields_set_control(f, ADIT_AUTHORITY, NULL, 0);
	adit_fields_set_control(f, ADIT_SCHEME, "http", 4);
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), -EINVAL);
	adit_fields_add(f, T("Host"), T("b"));
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), 0);
	assert_list(&list, expected);
	section_list_free(&list);
	adit_fields_set_control(f, ADIT_TARGET, NULL, 0);
	assert_int_equal(section_list(&list, f, SECTION_REQUEST), -EINVAL);
	adit_fields_free(f);
}

static void
a_response_is_taken_apart(void **state)
{
	static const char *const with[] = { ":status: 200", "content-length: 3", NULL };
	static const char *const without[] = { ":status: 204", NULL };
	static const char *const trailers[] = { "a: b", NULL };
	struct adit_fields *f = adit_fields_new();
	struct section_list list;

	(void)state;
	assert_int_equal(section_list(&list, f, SECTION_RESPONSE), -EINVAL);
	adit_fields_set_status(f, 101);
	assert_int_equal(section_list(&list, f, SECTION_RESPONSE), -EINVAL);
	adit_fields_set_status(f, 200);
	adit_fields_add(f, T("Content-Length"), T("3"));
	assert_int_equal(section_list(&list, f, SECTION_RESPONSE), 0);
	assert_list(&list, with);
	assert_int_equal(list.length, 3);
	section_list_free(&list);
	adit_fields_set_status(f, 204);
	assert_int_equal(section_list(&list, f, SECTION_RESPONSE), 0);
	assert_list(&list, without);
	section_list_free(&list);
	adit_fields_add(f, T("A"), T("b"));
	assert_int_equal(section_list(&list, f, SECTION_TRAILERS), 0);
	assert_list(&list, trailers);
	section_list_free(&list);
	adit_fields_set_status(f, 200);
	adit_fields_add(f, T("Content-Length"), T("4"));
	assert_int_equal(section_list(&list, f, SECTION_RESPONSE), -EINVAL);
	adit_fields_set(f, "Content-Length", "x");
	assert_int_equal(section_list(&list, f, SECTION_RESPONSE), -EINVAL);
	adit_fields_free(f);
}

static void
content_is_as_status_and_method_say(void **state)
{
	struct adit_fields *f = request("HEAD", "a", "/");

	(void)state;
	assert_int_equal(section_asked(f), SECTION_ASKED_HEAD);
	adit_fields_set_control(f, ADIT_METHOD, "head", 4);
	assert_int_equal(section_asked(f), SECTION_ASKED_PLAIN);
	adit_fields_set_control(f, ADIT_METHOD, "CONNECT", 7);
	assert_int_equal(section_asked(f), SECTION_ASKED_CONNECT);
	adit_fields_free(f);
	assert_int_equal(section_content(200, SECTION_ASKED_PLAIN), SECTION_BODY);
	assert_int_equal(section_content(103, SECTION_ASKED_PLAIN), SECTION_NOTHING);
	assert_int_equal(section_content(204, SECTION_ASKED_PLAIN), SECTION_NOTHING);
	assert_int_equal(section_content(304, SECTION_ASKED_PLAIN), SECTION_NOTHING);
	assert_int_equal(section_content(200, SECTION_ASKED_HEAD), SECTION_NOTHING);
	assert_int_equal(section_content(204, SECTION_ASKED_CONNECT), SECTION_TUNNEL);
	assert_int_equal(section_content(404, SECTION_ASKED_CONNECT), SECTION_BODY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_becomes_control_data_and_fields),
		cmocka_unit_test(a_response_becomes_a_status_and_fields),
		cmocka_unit_test(pseudo_fields_of_requests_are_checked),
		cmocka_unit_test(authority_and_host_are_one),
		cmocka_unit_test(connect_is_checked),
		cmocka_unit_test(pseudo_fields_of_responses_are_checked),
		cmocka_unit_test(trailers_are_checked),
		cmocka_unit_test(names_and_values_are_checked),
		cmocka_unit_test(lengths_are_checked),
		cmocka_unit_test(lengths_that_say_nothing_are_dropped),
		cmocka_unit_test(cookies_are_joined),
		cmocka_unit_test(the_limit_counts_what_a_field_costs),
		cmocka_unit_test(the_number_of_fields_is_limited),
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(connect_is_taken_apart),
		cmocka_unit_test(host_stands_for_the_authority),
		cmocka_unit_test(a_response_is_taken_apart),
		cmocka_unit_test(content_is_as_status_and_method_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
