#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <adit/err.h>

static void
every_code_has_a_text(void **state)
{
	(void)state;
	for (int code = ADIT_ERESOLVE; code <= ADIT_ETLS; code++)
		assert_string_not_equal(adit_strerror(code), "unknown error");
	assert_string_equal(adit_strerror(-ECONNREFUSED), "Connection refused");
	assert_string_equal(adit_strerror(0), "no error");
}

static void
context_goes_in_front(void **state)
{
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(adit_err_set(&e, -EINVAL, "no %s", "port"), -EINVAL);
	assert_int_equal(adit_err_context(&e, "service %d", 3), -EINVAL);
	assert_string_equal(e.text, "service 3: no port");
	assert_int_equal(adit_err_set(NULL, -EPERM, "x"), -EPERM);
}

static void
long_texts_are_cut(void **state)
{
	struct adit_err e = ADIT_ERR_INIT;
	char big[2000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	adit_err_set(&e, -EINVAL, "%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	adit_err_context(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_text),
		cmocka_unit_test(context_goes_in_front),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
