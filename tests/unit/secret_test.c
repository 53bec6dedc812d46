#include <fcntl.h>
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

struct folder {
	char dir[64], above[72], state[80], file[96], key[80];
};

static int
setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/adit-secret-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->above, sizeof(f->above), "%s/above", f->dir);
	snprintf(f->state, sizeof(f->state), "%s/state", f->above);
	snprintf(f->file, sizeof(f->file), "%s/secret", f->state);
	snprintf(f->key, sizeof(f->key), "%s/key", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct folder *f = *state;

	secret_set_dir(NULL);
	unlink(f->file);
	unlink(f->key);
	rmdir(f->state);
	rmdir(f->above);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void
write_bytes(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void
expect_same(const uint8_t a[SECRET_LEN], const uint8_t b[SECRET_LEN], bool same)
{
	assert_int_equal(memcmp(a, b, SECRET_LEN) == 0, same);
}

static void
without_anything_it_is_random(void **state)
{
	uint8_t a[SECRET_LEN] = { 0 }, b[SECRET_LEN] = { 0 }, zero[SECRET_LEN] = { 0 };

	(void)state;
	secret_get(NULL, NULL, a);
	secret_get(NULL, NULL, b);
	expect_same(a, b, false);
	expect_same(a, zero, false);
}

static void
a_state_folder_keeps_it(void **state)
{
	struct folder *f = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];
	struct stat st;

	secret_set_dir(f->state); /* which is not there yet, nor is the one above it */
	secret_get(NULL, NULL, a);
	secret_get(NULL, NULL, b);
	expect_same(a, b, true);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, SECRET_LEN);
	assert_int_equal(stat(f->state, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	secret_set_dir(NULL);
	secret_get(NULL, NULL, b);
	expect_same(a, b, false);
}

static void
what_is_there_is_taken(void **state)
{
	struct folder *f = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];

	memset(a, 7, sizeof(a));
	assert_int_equal(mkdir(f->above, 0700) | mkdir(f->state, 0700), 0);
	write_bytes(f->file, a, sizeof(a));
	secret_set_dir(f->state);
	secret_get(NULL, NULL, b);
	expect_same(a, b, true);
}

/* A process that had our number died between two steps of writing. In a container it always had. */
static void
leftovers_do_not_matter(void **state)
{
	struct folder *f = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];
	char leftover[128];

	assert_int_equal(mkdir(f->above, 0700) | mkdir(f->state, 0700), 0);
	snprintf(leftover, sizeof(leftover), "%s.%ld", f->file, (long)getpid());
	write_bytes(leftover, "half", 4);
	secret_set_dir(f->state);
	secret_get(NULL, NULL, a);
	secret_get(NULL, NULL, b);
	expect_same(a, b, true);
	assert_int_equal(unlink(leftover), 0);
}

/* Not replaced: whatever it is, it may be the administrator's. Not used: what is there can be
 * guessed. */
static void
a_file_that_is_cut_is_not_used(void **state)
{
	struct folder *f = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];
	struct stat st;

	assert_int_equal(mkdir(f->above, 0700) | mkdir(f->state, 0700), 0);
	write_bytes(f->file, "short", 5);
	secret_set_dir(f->state);
	secret_get(NULL, NULL, a);
	secret_get(NULL, NULL, b);
	expect_same(a, b, false);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_size, 5);
}

static void
a_key_gives_it_where_there_is_no_folder(void **state)
{
	struct folder *f = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];

	write_bytes(f->key, "a key", 5);
	secret_get(f->key, NULL, a);
	secret_get(f->key, NULL, b);
	expect_same(a, b, true);
	write_bytes(f->key, "b key", 5);
	secret_get(f->key, NULL, b);
	expect_same(a, b, false);
	secret_set_dir(f->state);
	secret_get(f->key, NULL, a);
	expect_same(a, b, false);
	secret_get(NULL, NULL, b);
	expect_same(a, b, true);
}

static void
a_key_that_is_not_there(void **state)
{
	struct folder *f = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];

	secret_get(f->key, NULL, a);
	secret_get(f->key, NULL, b);
	expect_same(a, b, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_anything_it_is_random),  TEST(a_state_folder_keeps_it),
		TEST(what_is_there_is_taken),         TEST(leftovers_do_not_matter),
		TEST(a_file_that_is_cut_is_not_used), TEST(a_key_gives_it_where_there_is_no_folder),
		TEST(a_key_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
