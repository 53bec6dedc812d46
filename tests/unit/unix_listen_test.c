#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/conn/listen.h"
#include "core/conn/unix_listen.h"

static bool listen_fails;

/* In the C library's place. */
int
listen(int fd, int backlog)
{
	if (!listen_fails)
		return (int)syscall(SYS_listen, fd, backlog);
	errno = ENOBUFS;
	return -1;
}

/* A folder of the test's own, and a path in it. */
struct place {
	char	folder[64], path[96];
};

static int
place_setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->folder, "/tmp/adit-unix-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->path, sizeof(p->path), "%s/s", p->folder);
	*state = p;
	return 0;
}

static int
place_teardown(void **state)
{
	struct place *p = *state;

	unlink(p->path);
	assert_int_equal(rmdir(p->folder), 0);
	free(p);
	return 0;
}

static int
connects(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	assert_true(fd >= 0);
	strcpy(un.sun_path, path);
	err = connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void
it_listens_with_its_mode_and_goes(void **state)
{
	const struct place *p = *state;
	struct unix_file file;
	struct adit_err e;
	mode_t before = umask(027);
	int fd = unix_listen(p->path, 0666, 8, &file, &e);

	assert_true(fd >= 0);
	assert_int_equal(mode_of(p->path), 0666);
	assert_int_equal(unix_set_mode(p->path, &file, 0, &e), 0);
	assert_int_equal(mode_of(p->path), 0750);
	umask(before);
	assert_int_equal(connects(p->path), 0);
	unix_remove(p->path, &file);
	close(fd);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void
what_was_left_behind_is_replaced(void **state)
{
	const struct place *p = *state;
	struct unix_file file;
	struct adit_err e;
	int fd = unix_listen(p->path, 0, 8, &file, &e);

	close(fd);
	assert_int_equal(connects(p->path), -ECONNREFUSED);
	fd = unix_listen(p->path, 0, 8, &file, &e);
	assert_true(fd >= 0);
	assert_int_equal(connects(p->path), 0);
	close(fd);
}

static void
what_is_in_use_stays(void **state)
{
	const struct place *p = *state;
	struct unix_file file, other;
	struct adit_err e;
	int fd = unix_listen(p->path, 0, 8, &file, &e);

	assert_int_equal(unix_listen(p->path, 0, 8, &other, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "somebody listens there"));
	assert_int_equal(connects(p->path), 0);
	close(fd);
}

static void
another_kind_of_file_stays(void **state)
{
	const struct place *p = *state;
	struct unix_file file;
	struct adit_err e;
	FILE *f = fopen(p->path, "w");

	assert_non_null(f);
	fclose(f);
	assert_int_equal(unix_listen(p->path, 0, 8, &file, &e), -EADDRINUSE);
	assert_int_equal(access(p->path, F_OK), 0);
}

static void
what_cannot_listen_leaves_no_file(void **state)
{
	const struct place *p = *state;
	struct unix_file file;
	struct adit_err e;

	listen_fails = true;
	assert_int_equal(unix_listen(p->path, 0, 8, &file, &e), -ENOBUFS);
	listen_fails = false;
	assert_int_equal(access(p->path, F_OK), -1);
}

static void
the_file_of_a_successor_is_not_removed(void **state)
{
	const struct place *p = *state;
	struct unix_file first, second;
	struct adit_err e;
	int a = unix_listen(p->path, 0, 8, &first, &e), b;

	assert_int_equal(unlink(p->path), 0);
	b = unix_listen(p->path, 0, 8, &second, &e);
	assert_true(b >= 0);
	unix_remove(p->path, &first);
	assert_int_equal(connects(p->path), 0);
	assert_int_equal(unix_set_mode(p->path, &first, 0600, &e), -ENOENT);
	close(a);
	close(b);
}

static void
paths_that_cannot_be(void **state)
{
	char path[200];
	struct unix_file file;
	struct adit_err e;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(unix_listen(path, 0, 8, &file, &e), -ENAMETOOLONG);
	assert_int_equal(unix_listen("", 0, 8, &file, &e), -EINVAL);
	assert_int_equal(unix_listen("/no/such/folder/s", 0, 8, &file, &e), -ENOENT);
}

/* A service that was configured anew finds the socket, with the connections that wait in it. */
static void
a_book_keeps_the_socket_for_who_asks_again(void **state)
{
	const struct place *p = *state;
	struct listen_book *b = listen_book_new(3);
	struct adit_err e;
	struct listen_set *one = listen_get_unix(b, p->path, 0600, &e), *two;

	assert_non_null(one);
	assert_int_equal(listen_count(one), 3);
	assert_int_equal(listen_addr(one)->family, AF_UNIX);
	assert_false(listen_is_shared(one));
	two = listen_get_unix(b, p->path, 0660, &e);
	assert_ptr_equal(one, two);
	assert_true(listen_is_shared(one));
	/* Who asks may still be refused for another reason. */
	assert_int_equal(mode_of(p->path), 0600);
	assert_int_equal(listen_set_mode(two, 0660, &e), 0);
	assert_int_equal(mode_of(p->path), 0660);
	listen_put(b, one);
	assert_int_equal(connects(p->path), 0);
	listen_put(b, two);
	assert_int_equal(access(p->path, F_OK), -1);
	listen_book_free(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_listens_with_its_mode_and_goes),
		TEST(what_was_left_behind_is_replaced),
		TEST(what_is_in_use_stays),
		TEST(another_kind_of_file_stays),
		TEST(what_cannot_listen_leaves_no_file),
		TEST(the_file_of_a_successor_is_not_removed),
		TEST(paths_that_cannot_be),
		TEST(a_book_keeps_the_socket_for_who_asks_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
