/* `hosts`: names to addresses, by gost's order of lookups. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy/host_map.h"

static struct host_map *
map_of(const char *lines)
{
	struct host_map *m = host_map_new();
	struct adit_err e = ADIT_ERR_INIT;
	char text[512];

	assert_non_null(m);
	assert_true(snprintf(text, sizeof(text), "%s", lines) < (int)sizeof(text));
	assert_int_equal(host_map_add_text(m, text, &e), 0);
	host_map_seal(m);
	return m;
}

static void
expect(const struct host_map *m, const char *host, const char *ips)
{
	struct adit_addr found[4];
	size_t n = host_map_find(m, host, found, 4);
	char text[4 * ADIT_ADDR_TEXT] = "", one[ADIT_ADDR_TEXT];

	for (size_t i = 0; i < n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, adit_addr_format_ip(&found[i], one));
	}
	if (strcmp(text, ips) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", host, text, ips);
}

static void
the_longest_name_counts(void **state)
{
	struct host_map *m = map_of("10.0.0.1 app.internal www.internal # and more\n"
				    "10.0.0.2 .dev.internal\n"
				    "\n"
				    "nonsense here\n"
				    "10.0.0.9 a*b\n"
				    "\t10.0.0.3 x.dev.internal\r\n"
				    "::1 APP.internal.\n"
				    "10.0.0.4 .internal\n");

	(void)state;
	assert_int_equal(host_map_count(m), 6);
	expect(m, "app.internal", "10.0.0.1 ::1");
	expect(m, "App.Internal.", "10.0.0.1 ::1");
	expect(m, "www.internal", "10.0.0.1");
	expect(m, "dev.internal", "10.0.0.2");
	expect(m, "a.b.dev.internal", "10.0.0.2");
	expect(m, "x.dev.internal", "10.0.0.3");
	expect(m, "y.x.dev.internal", "10.0.0.2");
	expect(m, "other.internal", "10.0.0.4");
	expect(m, "xdev.internal", "10.0.0.4");
	expect(m, "example", "");
	expect(m, "", "");
	expect(m, ".dev.internal", "");
	host_map_free(m);
}

static void
a_dot_is_all_the_rest(void **state)
{
	struct host_map *m = map_of("10.0.0.1 .\n10.0.0.2 a.example\n");

	(void)state;
	expect(m, "a.example", "10.0.0.2");
	expect(m, "b.example", "10.0.0.1");
	host_map_free(m);
	m = map_of("");
	expect(m, "b.example", "");
	host_map_free(m);
	host_map_free(NULL);
}

static void
what_is_wrong_is_said(void **state)
{
	struct host_map *m = host_map_new();
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(host_map_add(m, "x", "a", &e), -EINVAL);
	assert_string_equal(e.text, "not an address: \"x\"");
	e = (struct adit_err)ADIT_ERR_INIT;
	assert_int_equal(host_map_add(m, "::1", "a b", &e), -EINVAL);
	assert_string_equal(e.text, "not a host name: \"a b\"");
	host_map_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_name_counts),
		cmocka_unit_test(a_dot_is_all_the_rest),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
