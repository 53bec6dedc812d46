#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config/model.h"
#include "core/service/auth.h"
#include "tests/unit/config_text.h"

static char path[] = "/tmp/adit-auth-XXXXXX";

static int
make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	unlink(path);
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	return 0;
}

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
check_bytes(struct auth_set *s, const char *user, size_t user_len, const char *password,
	    size_t password_len)
{
	const struct credentials c = {
		.user = user, .user_len = user_len,
		.password = password, .password_len = password_len,
	};
	struct auth_found found;

	return auth_set_check(s, &c, &found);
}

static int
check(struct auth_set *s, const char *user, const char *password)
{
	return check_bytes(s, user, user ? strlen(user) : 0, password,
			   password ? strlen(password) : 0);
}

static struct auth_set *
set_of(struct auth_conf *auth)
{
	const struct component_conf c = { .kind = ADIT_HANDLER, .type = "x", .auth = auth };
	const struct place nowhere = { .node = NULL };
	struct auth_set *s;

	assert_int_equal(auth_set_new(&c, &nowhere, &s), 0);
	assert_non_null(s);
	return s;
}

/* ---- a pair ------------------------------------------------------------------------ */

static void
everybody_may_pass_where_nothing_is_said(void **state)
{
	const struct component_conf c = { .kind = ADIT_HANDLER, .type = "x" };
	const struct place nowhere = { .node = NULL };
	struct auth_set *s = (struct auth_set *)path;

	(void)state;
	assert_int_equal(auth_set_new(&c, &nowhere, &s), 0);
	assert_null(s);
	auth_set_free(NULL);
}

static void
one_pair_passes_and_nothing_like_it(void **state)
{
	struct auth_conf pair = { .username = "user", .password = "pass word" };
	struct auth_set *s = set_of(&pair);

	(void)state;
	assert_int_equal(check(s, "user", "pass word"), 0);
	assert_int_equal(check(s, "user", "pass"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "user", ""), ADIT_EUNAUTH);
	assert_int_equal(check(s, "User", "pass word"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "", ""), ADIT_EUNAUTH);
	assert_int_equal(check(s, NULL, NULL), ADIT_EUNAUTH);
	/* The same bytes, cut elsewhere; and with more behind them. */
	assert_int_equal(check_bytes(s, "userp", 5, "ass word", 8), ADIT_EUNAUTH);
	assert_int_equal(check_bytes(s, "user\0x", 6, "pass word", 9), ADIT_EUNAUTH);
	assert_int_equal(check_bytes(s, "userxx", 4, "pass wordxx", 9), 0);
	auth_set_free(s);
}

static void
a_user_without_a_password(void **state)
{
	struct auth_conf pair = { .username = "user" };
	struct auth_set *s = set_of(&pair);

	(void)state;
	assert_int_equal(check(s, "user", ""), 0);
	assert_int_equal(check(s, "user", "x"), ADIT_EUNAUTH);
	auth_set_free(s);
}

/* ---- a file ------------------------------------------------------------------------- */

static void
a_file_of_users(void **state)
{
	struct auth_conf conf = { .username = "inline", .password = "one", .file = path };
	struct auth_set *s;

	(void)state;
	write_file("# users\n\n  alice   secret words \r\nbob\n#carol x\n\tdave\tx\neve last");
	s = set_of(&conf);
	assert_int_equal(check(s, "inline", "one"), 0);
	assert_int_equal(check(s, "alice", "secret words "), 0);
	assert_int_equal(check(s, "alice", "secret"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "bob", ""), 0);
	assert_int_equal(check(s, "#carol", "x"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "carol", "x"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "dave", "x"), 0);
	assert_int_equal(check(s, "eve", "last"), 0);
	assert_int_equal(check(s, "", ""), ADIT_EUNAUTH);
	auth_set_free(s);
}

static void
a_file_without_users_refuses_everybody(void **state)
{
	struct auth_conf conf = { .file = path };
	struct auth_set *s;

	(void)state;
	write_file("# nobody yet\n");
	s = set_of(&conf);
	assert_int_equal(check(s, NULL, NULL), ADIT_EUNAUTH);
	assert_int_equal(check(s, "", ""), ADIT_EUNAUTH);
	auth_set_free(s);
}

static void
expect_failure(struct auth_conf *conf, int code, const char *text)
{
	const struct component_conf c = { .kind = ADIT_HANDLER, .type = "x", .auth = conf };
	const struct place at = { .errs = config_errors_new() };
	struct auth_set *s = (struct auth_set *)path;
	const char *said;

	assert_int_equal(auth_set_new(&c, &at, &s), code);
	assert_null(s);
	said = config_errors_text(at.errs, 0);
	if (!said || !strstr(said, text))
		fail_msg("\"%s\" is not in \"%s\"", text, said);
	config_errors_free(at.errs);
}

static void
files_that_cannot_be_read(void **state)
{
	char missing[] = "/dev/null/users";
	struct auth_conf conf = { .file = missing };

	(void)state;
	expect_failure(&conf, -ENOTDIR, missing);
}

/* What is left of a line that was cut must not become a user, above all not one of a comment. */
static void
long_lines_are_refused_whole(void **state)
{
	struct auth_conf conf = { .file = path };
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "# ", 2);
	strcpy(text + 1100, "\nalice secret\n");
	write_file(text);
	expect_failure(&conf, -EINVAL, "line 1");
	memcpy(text, "ab", 2);
	text[1] = '\n';
	write_file(text);
	expect_failure(&conf, -EINVAL, "line 2");
	memset(text, 'x', 1022);
	strcpy(text + 1022, "\nalice secret");
	write_file(text);
	expect_failure(&conf, -EINVAL, "name");
	text[AUTH_USER_MAX] = ' ';
	write_file(text);
	auth_set_free(set_of(&conf));
}

/* ---- what a client presents ---------------------------------------------------------- */

static void
the_first_line_is_what_a_client_presents(void **state)
{
	struct adit_err e = ADIT_ERR_INIT;
	char *user = NULL, *password = NULL;

	(void)state;
	write_file("# mine\nalice secret words\nbob x\n");
	assert_int_equal(auth_read_file(path, &user, &password, &e), 0);
	assert_string_equal(user, "alice");
	assert_string_equal(password, "secret words");
	free(user);
	free(password);
	write_file("bob");
	assert_int_equal(auth_read_file(path, &user, &password, &e), 0);
	assert_string_equal(user, "bob");
	assert_string_equal(password, "");
	free(user);
	free(password);
	write_file("#\n");
	assert_int_equal(auth_read_file(path, &user, &password, &e), ADIT_ECONFIG);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(auth_read_file("/dev/null/missing", &user, &password, &e), -ENOTDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everybody_may_pass_where_nothing_is_said),
		TEST(one_pair_passes_and_nothing_like_it),
		TEST(a_user_without_a_password),
		TEST(a_file_of_users),
		TEST(a_file_without_users_refuses_everybody),
		TEST(files_that_cannot_be_read),
		TEST(long_lines_are_refused_whole),
		TEST(the_first_line_is_what_a_client_presents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
