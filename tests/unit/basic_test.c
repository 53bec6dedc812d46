/* Basic credentials (RFC 7617). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/basic.h"

static int
decode(const char *value, struct basic *b)
{
	return basic_decode((struct adit_text){ value, strlen(value) }, b);
}

static void
expect(const char *value, const char *user, const char *password)
{
	struct basic b;

	assert_int_equal(decode(value, &b), 0);
	assert_string_equal(b.text, user);
	assert_int_equal(b.user_len, strlen(user));
	assert_string_equal(basic_password(&b), password);
	assert_int_equal(b.password_len, strlen(password));
}

static void
a_pair_is_split_at_the_first_colon(void **state)
{
	(void)state;
	expect("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame");	/* section 2 */
	expect("basic   dTpwOjo6eA==", "u", "p:::x");
	expect("Basic Og==", "", "");
}

static void
what_is_no_pair_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "Basic", "Basic ", "Basic!", "Basic !!!", "Bearer dTpw", "Basic dXNlcg==",
		"BasicdTpw",
	};
	struct basic b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (decode(bad[i], &b) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(basic_decode((struct adit_text){ NULL, 0 }, &b), -EINVAL);
}

static void
a_pair_has_a_longest(void **state)
{
	char user[BASIC_MAX + 1];
	struct basic b;
	char *value;

	(void)state;
	memset(user, 'x', sizeof(user));
	user[BASIC_MAX] = 0;
	value = basic_encode(user, "");
	assert_non_null(value);
	assert_int_equal(decode(value, &b), -EINVAL);
	free(value);
	user[BASIC_MAX - 1] = 0;
	value = basic_encode(user, "");
	assert_non_null(value);
	expect(value, user, "");
	free(value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_is_split_at_the_first_colon),
		cmocka_unit_test(what_is_no_pair_is_refused),
		cmocka_unit_test(a_pair_has_a_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
