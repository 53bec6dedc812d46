/* The heads of a WebSocket between an extended CONNECT and an upgrade. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/websocket.h"
#include "tests/unit/h1_side.h"

static struct adit_fields *
asked(const char *text, const char *protocol)
{
	struct adit_fields *f = side_fields(text);

	if (protocol)
		assert_int_equal(adit_fields_set_control(f, ADIT_PROTOCOL, protocol,
							 strlen(protocol)), 0);
	return f;
}

static void
only_an_extended_connect_asks(void **state)
{
	static const struct {
		const char	*head, *protocol;
		bool		 asks;
	} rows[] = {
		{ "CONNECT https a.b /c", "websocket", true },
		{ "CONNECT https a.b /c", "WebSocket", true },
		{ "CONNECT https a.b /c", "connect-udp", false },
		{ "CONNECT - a.b:1 -", NULL, false },
		{ "GET https a.b /c", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_fields *f = asked(rows[i].head, rows[i].protocol);

		assert_int_equal(websocket_is_asked(f), rows[i].asks);
		adit_fields_free(f);
	}
}

static void
it_becomes_an_upgrade(void **state)
{
	struct adit_fields *f = asked("CONNECT https a.b /c\nOrigin: o\nSec-WebSocket-Version: 13",
				      "websocket");
	char accept[WS_ACCEPT_TEXT], expected[WS_ACCEPT_TEXT];

	(void)state;
	assert_int_equal(websocket_ask(f, accept), 0);
	assert_string_equal(adit_fields_control(f, ADIT_METHOD).s, "GET");
	assert_string_equal(adit_fields_control(f, ADIT_TARGET).s, "/c");
	assert_null(adit_fields_control(f, ADIT_PROTOCOL).s);
	assert_string_equal(adit_fields_get(f, "Connection").s, "Upgrade");
	assert_string_equal(adit_fields_get(f, "Upgrade").s, "websocket");
	assert_string_equal(adit_fields_get(f, "Origin").s, "o");
	assert_int_equal(ws_answer_key(adit_fields_get(f, "Sec-WebSocket-Key"), expected), 0);
	assert_string_equal(accept, expected);
	adit_fields_free(f);
}

#define KEY "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define UPGRADED "Connection: Upgrade\nUpgrade: websocket\n"

static void
a_right_answer_alone_is_a_success(void **state)
{
	static const struct {
		const char	*head;
		int		 answer, status;
	} rows[] = {
		{ "101\n" UPGRADED "Sec-WebSocket-Accept: " KEY "\nSec-WebSocket-Protocol: p", 0,
		  200 },
		{ "101\n" UPGRADED "Sec-WebSocket-Accept: AAAA", -EBADMSG, 101 },
		{ "101\n" UPGRADED, -EBADMSG, 101 },
		{ "101\nConnection: Upgrade\nUpgrade: other\nSec-WebSocket-Accept: " KEY, -EBADMSG,
		  101 },
		{ "101\nSec-WebSocket-Accept: " KEY, -EBADMSG, 101 },
		{ "200\n" UPGRADED "Sec-WebSocket-Accept: " KEY, -EBADMSG, 200 },
		{ "204", -EBADMSG, 204 },
		{ "103\nLink: </a>", 0, 103 },
		{ "403", 0, 403 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_fields *f = side_fields(rows[i].head);

		adit_fields_set_version(f, 11);
		assert_int_equal(websocket_answer(f, KEY), rows[i].answer);
		assert_int_equal(adit_fields_status(f), rows[i].status);
		if (rows[i].status == 200 && !rows[i].answer) {
			assert_int_equal(adit_fields_count(f), 1);
			assert_string_equal(adit_fields_get(f, "Sec-WebSocket-Protocol").s, "p");
		}
		adit_fields_free(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_an_extended_connect_asks),
		cmocka_unit_test(it_becomes_an_upgrade),
		cmocka_unit_test(a_right_answer_alone_is_a_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
