#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/upgrade.h"

/* RFC 6455, 1.3. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static struct adit_fields *
head(const char *const *pairs)
{
	struct adit_fields *f = adit_fields_new();

	assert_non_null(f);
	for (; *pairs; pairs += 2) {
		struct adit_text name = { pairs[0], strlen(pairs[0]) };
		struct adit_text value = { pairs[1], strlen(pairs[1]) };

		assert_int_equal(adit_fields_add(f, name, value), 0);
	}
	return f;
}

static void
set_control(struct adit_fields *f, enum adit_control which, const char *s)
{
	assert_int_equal(adit_fields_set_control(f, which, s, strlen(s)), 0);
}

/* An opening handshake by HTTP/1.1, but for what is given. */
static struct adit_fields *
upgrade_request(const char *method, const char *protocol, const char *key)
{
	struct adit_fields *f = head((const char *const[]){
		"Upgrade", protocol, "Connection", "Upgrade", "Sec-WebSocket-Key", key,
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Protocol", "chat", NULL });

	set_control(f, ADIT_METHOD, method);
	set_control(f, ADIT_TARGET, "/chat");
	adit_fields_set_version(f, 11);
	return f;
}

static struct adit_fields *
connect_request(const char *protocol)
{
	struct adit_fields *f =
		head((const char *const[]){ "Sec-WebSocket-Version", "13", NULL });

	set_control(f, ADIT_METHOD, "CONNECT");
	set_control(f, ADIT_TARGET, "/chat");
	set_control(f, ADIT_SCHEME, "https");
	set_control(f, ADIT_PROTOCOL, protocol);
	adit_fields_set_version(f, 20);
	return f;
}

static struct adit_fields *
response(int status, const char *const *pairs)
{
	struct adit_fields *f = head(pairs);

	adit_fields_set_status(f, status);
	return f;
}

static const char *
field(const struct adit_fields *f, const char *name)
{
	return adit_fields_get(f, name).s;
}

static const char *
control(const struct adit_fields *f, enum adit_control which)
{
	return adit_fields_control(f, which).s;
}

/* ---- HTTP/1 toward HTTP/2 and 3 -------------------------------------------------------------- */

static void
websocket_becomes_connect(void **state)
{
	struct adit_fields *f = upgrade_request("GET", "WebSocket", KEY);
	struct http_upgrade u;

	(void)state;
	assert_true(http_upgrade_differs(f, 11, 20));
	assert_true(http_upgrade_differs(f, 11, 30));
	assert_false(http_upgrade_differs(f, 11, 11));
	assert_int_equal(http_upgrade_request(&u, f, false), 0);
	assert_int_equal(u.way, UPGRADE_TO_CONNECT);
	assert_string_equal(control(f, ADIT_METHOD), "CONNECT");
	assert_string_equal(control(f, ADIT_PROTOCOL), "websocket");
	assert_string_equal(control(f, ADIT_TARGET), "/chat");
	assert_null(field(f, "Upgrade"));
	assert_null(field(f, "Connection"));
	assert_null(field(f, "Sec-WebSocket-Key"));
	assert_string_equal(field(f, "Sec-WebSocket-Version"), "13");
	assert_string_equal(field(f, "Sec-WebSocket-Protocol"), "chat");
	adit_fields_free(f);

	f = response(200, (const char *const[]){ "Sec-WebSocket-Protocol", "chat",
						 "Content-Length", "0", NULL });
	assert_int_equal(http_upgrade_response(&u, f), 0);
	assert_int_equal(adit_fields_status(f), 101);
	assert_string_equal(field(f, "Upgrade"), "websocket");
	assert_string_equal(field(f, "Connection"), "Upgrade");
	assert_string_equal(field(f, "Sec-WebSocket-Accept"), ACCEPT);
	assert_string_equal(field(f, "Sec-WebSocket-Protocol"), "chat");
	assert_null(field(f, "Content-Length"));
	adit_fields_free(f);
}

static void
refusals_and_interim_responses_stay(void **state)
{
	static const int statuses[] = { 103, 302, 403, 404, 501 };
	struct adit_fields *f = upgrade_request("GET", "websocket", KEY);
	struct http_upgrade up, connect;

	(void)state;
	assert_int_equal(http_upgrade_request(&up, f, false), 0);
	adit_fields_free(f);
	f = connect_request("websocket");
	assert_int_equal(http_upgrade_request(&connect, f, false), 0);
	adit_fields_free(f);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		f = response(statuses[i], (const char *const[]){ "X", "y", NULL });
		assert_int_equal(http_upgrade_response(&up, f), 0);
		assert_int_equal(http_upgrade_response(&connect, f), 0);
		assert_int_equal(adit_fields_status(f), statuses[i]);
		assert_int_equal(adit_fields_count(f), 1);
		adit_fields_free(f);
	}
}

/* What cannot be said in the other way is asked as if there had been no Upgrade. */
static void
other_upgrades_are_dropped(void **state)
{
	static const struct {
		const char	*method, *protocol, *key;
		bool		 body;
	} rows[] = {
		{ "POST", "websocket", KEY, false },
		{ "GET", "h2c", KEY, false },
		{ "GET", "websocket, h2c", KEY, false },
		{ "GET", "websocket", "c2hvcnQ=", false },
		{ "GET", "websocket", "", false },
		{ "GET", "websocket", KEY, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_fields *f =
			upgrade_request(rows[i].method, rows[i].protocol, rows[i].key);
		struct http_upgrade u;

		assert_int_equal(http_upgrade_request(&u, f, rows[i].body), 0);
		assert_int_equal(u.way, UPGRADE_NONE);
		assert_string_equal(control(f, ADIT_METHOD), rows[i].method);
		assert_null(control(f, ADIT_PROTOCOL));
		assert_null(field(f, "Upgrade"));
		assert_null(field(f, "Connection"));
		assert_non_null(field(f, "Sec-WebSocket-Key"));
		adit_fields_free(f);
	}
}

/* ---- HTTP/2 and 3 toward HTTP/1 -------------------------------------------------------------- */

static void
connect_becomes_upgrade(void **state)
{
	struct adit_fields *f = connect_request("websocket");
	struct http_upgrade u;
	char expected[WS_ACCEPT_TEXT];

	(void)state;
	assert_true(http_upgrade_differs(f, 20, 11));
	assert_true(http_upgrade_differs(f, 30, 11));
	assert_false(http_upgrade_differs(f, 20, 30));
	assert_int_equal(http_upgrade_request(&u, f, false), 0);
	assert_int_equal(u.way, UPGRADE_TO_UPGRADE);
	assert_string_equal(control(f, ADIT_METHOD), "GET");
	assert_string_equal(control(f, ADIT_TARGET), "/chat");
	assert_null(control(f, ADIT_PROTOCOL));
	assert_string_equal(field(f, "Upgrade"), "websocket");
	assert_string_equal(field(f, "Connection"), "Upgrade");
	assert_int_equal(ws_answer_key(adit_fields_get(f, "Sec-WebSocket-Key"), expected), 0);
	adit_fields_free(f);

	f = response(101, (const char *const[]){ "Upgrade", "WebSocket", "Connection", "Upgrade",
						 "Sec-WebSocket-Accept", expected,
						 "Content-Length", "0", NULL });
	assert_int_equal(http_upgrade_response(&u, f), 0);
	assert_int_equal(adit_fields_status(f), 200);
	assert_int_equal(adit_fields_count(f), 0);
	adit_fields_free(f);

	f = connect_request("WebSocket");		/* RFC 9110, 7.8: case says nothing */
	assert_int_equal(http_upgrade_request(&u, f, false), 0);
	assert_non_null(field(f, "Sec-WebSocket-Key"));
	adit_fields_free(f);
}

static void
false_success_is_none(void **state)
{
	static const struct {
		int		 status;
		const char	*protocol, *accept;
	} rows[] = {
		{ 200, "websocket", NULL },	/* the Upgrade was ignored */
		{ 204, "websocket", NULL },
		{ 101, "other", NULL },
		{ 101, "websocket", ACCEPT },	/* of another key */
		{ 101, "websocket", "" },
	};
	struct adit_fields *f = connect_request("websocket");
	struct http_upgrade u;

	(void)state;
	assert_int_equal(http_upgrade_request(&u, f, false), 0);
	adit_fields_free(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		f = response(rows[i].status,
			     (const char *const[]){ "Upgrade", rows[i].protocol,
						    "Sec-WebSocket-Accept",
						    rows[i].accept ? rows[i].accept : u.accept,
						    NULL });
		assert_int_equal(http_upgrade_response(&u, f), -EBADMSG);
		adit_fields_free(f);
	}
}

static void
other_protocols_become_upgrades_too(void **state)
{
	struct adit_fields *f = connect_request("connect-udp");
	struct http_upgrade u;

	(void)state;
	assert_int_equal(http_upgrade_request(&u, f, false), 0);
	assert_string_equal(field(f, "Upgrade"), "connect-udp");
	assert_null(field(f, "Sec-WebSocket-Key"));
	adit_fields_free(f);
	f = response(101, (const char *const[]){ "Upgrade", "connect-udp", NULL });
	assert_int_equal(http_upgrade_response(&u, f), 0);
	assert_int_equal(adit_fields_status(f), 200);
	adit_fields_free(f);

	f = connect_request("two,protocols");
	assert_int_equal(http_upgrade_request(&u, f, false), -ENOTSUP);
	adit_fields_free(f);
	f = connect_request("HTTP/");
	assert_int_equal(http_upgrade_request(&u, f, false), -ENOTSUP);
	adit_fields_free(f);
	f = connect_request("H2C");
	assert_int_equal(http_upgrade_request(&u, f, false), -ENOTSUP);
	adit_fields_free(f);
	f = connect_request("http/2.0");
	assert_int_equal(http_upgrade_request(&u, f, false), -ENOTSUP);
	adit_fields_free(f);
	f = connect_request("a-protocol-with-a-name-that-is-longer-than-any");
	assert_int_equal(http_upgrade_request(&u, f, false), -ENOTSUP);
	adit_fields_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(websocket_becomes_connect),
		cmocka_unit_test(refusals_and_interim_responses_stay),
		cmocka_unit_test(other_upgrades_are_dropped),
		cmocka_unit_test(connect_becomes_upgrade),
		cmocka_unit_test(false_success_is_none),
		cmocka_unit_test(other_protocols_become_upgrades_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
