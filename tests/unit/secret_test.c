#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/service/secret.h"

struct place {
	char	top[64], middle[96], dir[128], file[160];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->top, "/tmp/adit-secret-XXXXXX");
	assert_non_null(mkdtemp(p->top));
	snprintf(p->middle, sizeof(p->middle), "%s/state", p->top);
	snprintf(p->dir, sizeof(p->dir), "%s/adit", p->middle);
	snprintf(p->file, sizeof(p->file), "%s/secret", p->dir);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	secret_set_dir(NULL);
	unlink(p->file);
	rmdir(p->dir);
	rmdir(p->middle);
	assert_int_equal(rmdir(p->top), 0);
	free(p);
	return 0;
}

/* Also where neither the folder nor the one above it was there before, as after a fresh installation. */
static void
the_next_process_has_the_same(void **state)
{
	struct place *p = *state;
	uint8_t first[SECRET_LEN] = { 0 }, second[SECRET_LEN] = { 0 };
	struct stat st;

	secret_set_dir(p->dir);
	secret_get(NULL, NULL, first);
	secret_get(NULL, NULL, second);
	assert_memory_equal(first, second, SECRET_LEN);
	assert_int_equal(stat(p->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
without_a_folder_each_is_another(void **state)
{
	uint8_t first[SECRET_LEN] = { 0 }, second[SECRET_LEN] = { 0 };

	(void)state;
	secret_set_dir(NULL);
	secret_get(NULL, NULL, first);
	secret_get(NULL, NULL, second);
	assert_memory_not_equal(first, second, SECRET_LEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_next_process_has_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_folder_each_is_another, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
