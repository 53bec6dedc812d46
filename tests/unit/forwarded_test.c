#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/tunnel/forwarded.h"

static char proxies[] = "192.0.2.0/24", v6[] = "2001:db8::/33", one[] = "198.51.100.7";
static char *trusted_list[] = { proxies, v6, one };
static const struct adit_strings trusted = { .n = 3, .v = trusted_list };

static struct adit_fields *
head(void)
{
	struct adit_fields *f = adit_fields_new();

	assert_non_null(f);
	assert_int_equal(adit_fields_set_control(f, ADIT_AUTHORITY, "a.example", 9), 0);
	return f;
}

static void
add(struct adit_fields *f, const char *name, const char *value)
{
	struct adit_text n = { name, strlen(name) }, v = { value, strlen(value) };

	assert_int_equal(adit_fields_add(f, n, v), 0);
}

/* Frees f; the client's address as text. */
static const char *
client_of(struct adit_fields *f, const char *peer)
{
	static char text[ADIT_ADDR_TEXT];
	struct adit_addr a, client;

	assert_int_equal(adit_addr_parse(peer, 7, &a), 0);
	assert_int_equal(forwarded_set(f, &a, &trusted, &client), 0);
	return adit_addr_format_ip(&client, text);
}

static void
expect(const struct adit_fields *f, const char *name, const char *value)
{
	unsigned n = 0;

	for (size_t i = 0; i < adit_fields_count(f); i++)
		n += strcasecmp(adit_fields_at(f, i)->name.s, name) == 0;
	assert_int_equal(n, 1);
	assert_string_equal(adit_fields_get(f, name).s, value);
}

static void
a_strangers_word_is_not_taken(void **state)
{
	static const char *const names[] = {
		"X-Forwarded-For", "x-forwarded-for",
		"X_Forwarded_For", "X-Forwarded_Proto",
		"Forwarded",       "X-Real-IP",
		"x_real-ip",       "CF-Connecting-IP",
		"True-Client-IP",  "X-Forwarded-Whatever",
	};
	struct adit_fields *f = head();

	(void)state;
	add(f, "X-Forward", "stays");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		add(f, names[i], "1.1.1.1");
	assert_string_equal(client_of(f, "203.0.113.5"), "203.0.113.5");
	assert_int_equal(adit_fields_count(f), 4);
	expect(f, "X-Forward", "stays");
	expect(f, "X-Forwarded-For", "203.0.113.5");
	expect(f, "X-Forwarded-Host", "a.example");
	expect(f, "X-Forwarded-Proto", "http");
	adit_fields_free(f);
}

/* The borders of networks that do not end with a byte, and families that do not mix. */
static void
who_is_trusted(void **state)
{
	static const struct {
		const char *peer;
		bool yes;
	} rows[] = {
		{ "192.0.2.0", true },
		{ "192.0.2.255", true },
		{ "192.0.3.0", false },
		{ "192.0.1.255", false },
		{ "198.51.100.7", true },
		{ "198.51.100.6", false },
		{ "2001:db8:7fff::1", true },
		{ "2001:db8:8000::1", false },
		{ "::1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_fields *f = head();

		add(f, "X-Forwarded-For", "203.0.113.9");
		assert_string_equal(client_of(f, rows[i].peer),
		                    rows[i].yes ? "203.0.113.9" : rows[i].peer);
		adit_fields_free(f);
	}
}

/* What stands left of the last that is not ours the visitor may have written himself. */
static void
the_last_stranger_is_the_client(void **state)
{
	static const struct {
		const char *list, *client;
	} rows[] = {
		{ "203.0.113.9", "203.0.113.9" },
		{ "1.1.1.1, 203.0.113.9", "203.0.113.9" },
		{ "1.1.1.1,203.0.113.9 , 192.0.2.77,198.51.100.7", "203.0.113.9" },
		{ "192.0.2.3, 192.0.2.4", "192.0.2.3" },
		{ "203.0.113.9:1234", "203.0.113.9" },
		{ "[2001:db8:9000::1]:1234", "2001:db8:9000::1" },
		{ "2001:db8:9000::1", "2001:db8:9000::1" },
		{ "1.1.1.1, unknown, 192.0.2.4", "192.0.2.4" },
		{ "unknown", "192.0.2.1" },
		{ "", "192.0.2.1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_fields *f = head();

		add(f, "X-Forwarded-For", rows[i].list);
		assert_string_equal(client_of(f, "192.0.2.1"), rows[i].client);
		adit_fields_free(f);
	}
}

/* RFC 7239: the same in one field, which is not begun here. */
static void
forwarded_is_believed_and_added_to(void **state)
{
	static const struct {
		const char *list, *client;
	} rows[] = {
		{ "for=203.0.113.9", "203.0.113.9" },
		{ "For=1.1.1.1, proto=http;FOR=\"203.0.113.9:80\" ;by=x, for=192.0.2.4",
		  "203.0.113.9" },
		{ "for=\"[2001:db8:9000::1]:1\";host=\"a,for=1.1.1.1\"", "2001:db8:9000::1" },
		{ "for=203.0.113.9;host=\"a\\\";for=1.1.1.1\"", "203.0.113.9" },
		{ "for=1.1.1.1, for=_hidden, for=192.0.2.4", "192.0.2.4" },
		{ "for=unknown", "192.0.2.1" },
		{ "for=\"", "192.0.2.1" },
		/* What a proxy has added is not taken for a part of a stranger's text. */
		{ "for=\"6.6.6.6\";x=\", for=203.0.113.9", "192.0.2.1" },
		{ "by=203.0.113.9", "192.0.2.1" },
		{ ",;=", "192.0.2.1" },
	};
	struct adit_fields *f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char expected[200];

		f = head();
		add(f, "Forwarded", rows[i].list);
		assert_string_equal(client_of(f, "192.0.2.1"), rows[i].client);
		snprintf(expected, sizeof(expected), "%s, for=192.0.2.1;proto=http", rows[i].list);
		expect(f, "Forwarded", expected);
		adit_fields_free(f);
	}
	f = head();
	add(f, "Forwarded", "for=203.0.113.9");
	add(f, "X-Forwarded-For", "203.0.113.8");
	assert_string_equal(client_of(f, "2001:db8::1"), "203.0.113.8");
	expect(f, "Forwarded", "for=203.0.113.9, for=\"[2001:db8::1]\";proto=http");
	adit_fields_free(f);
}

/* Some proxies add a field instead of an element: together they are the list. */
static void
several_fields_are_one_list(void **state)
{
	struct adit_fields *f = head();

	(void)state;
	add(f, "X-Forwarded-For", "1.1.1.1");
	add(f, "x-forwarded-for", "203.0.113.9");
	add(f, "X-Forwarded-Proto", "https");
	add(f, "X-Forwarded-Host", "www.example");
	assert_string_equal(client_of(f, "192.0.2.1"), "203.0.113.9");
	expect(f, "X-Forwarded-For", "1.1.1.1, 203.0.113.9, 192.0.2.1");
	expect(f, "X-Forwarded-Proto", "https");
	expect(f, "X-Forwarded-Host", "www.example");
	adit_fields_free(f);
}

static void
proxies_that_name_the_client_alone(void **state)
{
	static const char *const names[] = { "CF-Connecting-IP", "X-Real-IP" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct adit_fields *f = head();

		add(f, names[i], "203.0.113.9");
		assert_string_equal(client_of(f, "192.0.2.1"), "203.0.113.9");
		expect(f, "X-Forwarded-For", "192.0.2.1");
		expect(f, names[i], "203.0.113.9");
		add(f, names[i], "more");
		adit_fields_free(f);
	}
}

/* A list without end: more elements than are looked at, and more bytes than fit. */
static void
long_lists(void **state)
{
	char list[4200] = "";
	struct adit_fields *f = head();
	struct adit_addr a, client;

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(list, i ? ",192.0.2.2" : "203.0.113.9");
	add(f, "X-Forwarded-For", list);
	assert_string_equal(client_of(f, "192.0.2.1"), "192.0.2.2");
	adit_fields_free(f);

	f = head();
	memset(list, 'x', sizeof(list) - 1);
	list[sizeof(list) - 1] = 0;
	add(f, "X-Forwarded-For", list);
	assert_int_equal(adit_addr_parse("192.0.2.1", 0, &a), 0);
	assert_int_equal(forwarded_set(f, &a, &trusted, &client), -E2BIG);
	list[4095 - 12] = 0; /* with ", here" there is room, with another one there is none */
	adit_fields_free(f);
	f = head();
	add(f, "Gost-Forwarded-Node", list);
	assert_int_equal(forwarded_add_node(f, "here"), 0);
	assert_int_equal(forwarded_add_node(f, "here"), 0);
	assert_int_equal(forwarded_add_node(f, "h"), -E2BIG);
	assert_int_equal(adit_fields_get(f, "Gost-Forwarded-Node").len, 4095);
	adit_fields_free(f);
}

static void
nodes_are_a_list(void **state)
{
	struct adit_fields *f = head();

	(void)state;
	assert_int_equal(forwarded_add_node(f, "a"), 0);
	expect(f, "Gost-Forwarded-Node", "a");
	add(f, "gost-forwarded-node", "b");
	assert_int_equal(forwarded_add_node(f, "c"), 0);
	expect(f, "Gost-Forwarded-Node", "a, b, c");
	adit_fields_free(f);
}

static void
networks_are_checked(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"192.0.2.1/33",
		"192.0.2.1/",
		"192.0.2.1/8x",
		"2001:db8::/129",
		"192.0.2/24",
		"192.0.2.1/-1",
		"192.0.2.1/+8",
		"192.0.2.1/ 8",
		"a.example",
		"192.0.2.1/4294967304",
		("11111111111111111111111111111111111111111111111111111111111111111111111111111111"
		 "11"),
	};
	static const char *const good[] = {
		"0.0.0.0/0", "192.0.2.1/32", "::/0", "::1", "2001:db8::/128", "192.0.2.1",
	};
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[128];
		char *v[] = { one, text };

		strcpy(text, bad[i]);
		if (forwarded_check(&(struct adit_strings){ .n = 2, .v = v }, &e) != ADIT_ECONFIG)
			fail_msg("taken: \"%s\"", text);
		assert_non_null(strstr(e.text, text));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char text[128];
		char *v[] = { text };

		strcpy(text, good[i]);
		assert_int_equal(forwarded_check(&(struct adit_strings){ .n = 1, .v = v }, &e), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_strangers_word_is_not_taken),
		cmocka_unit_test(who_is_trusted),
		cmocka_unit_test(the_last_stranger_is_the_client),
		cmocka_unit_test(forwarded_is_believed_and_added_to),
		cmocka_unit_test(several_fields_are_one_list),
		cmocka_unit_test(proxies_that_name_the_client_alone),
		cmocka_unit_test(long_lists),
		cmocka_unit_test(nodes_are_a_list),
		cmocka_unit_test(networks_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
