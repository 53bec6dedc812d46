/* Files that are there whole or not at all. */
#include <dirent.h>
#include <errno.h>
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

#include "core/runtime/put_file.h"

static int
put(const char *path, const char *a, const char *b, bool replace)
{
	const struct iovec pieces[] = {
		{ .iov_base = (void *)(uintptr_t)a, .iov_len = strlen(a) },
		{ .iov_base = (void *)(uintptr_t)b, .iov_len = strlen(b) },
	};

	return put_file(path, pieces, 2, replace);
}

static void
assert_has(const char *path, const char *text)
{
	char buf[64] = "";
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, buf, sizeof(buf) - 1), strlen(text));
	assert_string_equal(buf, text);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
}

/* Nothing is left beside what was put. */
static void
assert_alone(const char *folder)
{
	DIR *d = opendir(folder);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	assert_int_equal(n, 3);
}

static void
test_put(void **state)
{
	char folder[] = "/tmp/put_file_test.XXXXXX", path[64], inside[80];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/it", folder);
	snprintf(inside, sizeof(inside), "%s/it/x", folder);
	assert_int_equal(put(path, "one", "", false), 0);
	assert_has(path, "one");
	assert_int_equal(put(path, "t", "wo", false), -EEXIST);
	assert_has(path, "one");
	assert_int_equal(put(path, "t", "wo", true), 0);
	assert_has(path, "two");
	assert_alone(folder);
	assert_int_equal(put(inside, "x", "", true), -ENOTDIR);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(put(path, "x", "", true), -EISDIR);
	assert_alone(folder);
	rmdir(path);
	rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_put) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
