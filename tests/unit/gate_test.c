/* Authers that are read again, logins that wait for a hash, permits that are withdrawn. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crypt.h>

#include <cmocka.h>

#include <adit/conn.h>

#include "core/config/errors.h"
#include "core/identity/auther.h"
#include "core/identity/permit.h"
#include "tests/unit/config_text.h"
#include "tests/unit/loop.h"

#define A "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define PATIENCE_MS 20000

struct stage {
	struct loop		*loop;
	struct adit_conn	*conn, *far;
	char			 path[64];
	struct gate		 gate;		/* its only auther is of a file at path */
	struct login		 login;
	int			 done, result;
};

static void
drop_auther(void *auther)
{
	auther_free(auther);
}

static void
drop_grants(void *grants)
{
	grants_free(grants);
}

static void
write_users(const struct stage *t, const char *text)
{
	char beside[80];
	FILE *f;

	snprintf(beside, sizeof(beside), "%s.new", t->path);
	f = fopen(beside, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(beside, t->path), 0);
}

static int
setup(void **state)
{
	struct stage *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	strcpy(t->path, "/tmp/adit-gate-XXXXXX");
	close(mkstemp(t->path));
	assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, 1000, &t->conn, &t->far),
			 0);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct stage *t = *state;

	login_end(&t->login);
	gate_fini(&t->gate);
	adit_conn_close(t->conn, 0);
	adit_conn_close(t->far, 0);
	loop_turn(t->loop, 4);
	loop_free(t->loop);
	unlink(t->path);
	free(t);
	return 0;
}

/* A gate that asks an auther of some users and those of the file, looked at every second. */
static void
open_gate(struct stage *t)
{
	struct place at = { .errs = config_errors_new() };
	struct config *config;
	struct auther *auther;
	char text[512];

	snprintf(text, sizeof(text), "authers: [{name: a, reload: 1s, file: {path: %s}, auths: "
		 "[{username: inline, password: x}, {username: ci, token: tok}]}]", t->path);
	config = config_of_text(NULL, text);
	auther = auther_new(t->loop->worker, config, &config->authers.v[0], NULL, NULL, &at);
	assert_non_null(auther);
	config_put(config);
	config_errors_free(at.errs);
	t->gate.authers = calloc(2, sizeof(struct held *));
	t->gate.authers[0] = held_new(auther, drop_auther);
}

static void
grant(struct stage *t, const char *rules)
{
	struct config *config;
	char text[512];

	snprintf(text, sizeof(text), "grants: [{name: g, rules: [%s]}]", rules);
	config = config_of_text(NULL, text);
	if (t->gate.grants)
		grants_free(held_replace(t->gate.grants, grants_new(config, 0, NULL)));
	else
		t->gate.grants = held_new(grants_new(config, 0, NULL), drop_grants);
	config_put(config);
}

static void
login_done(struct login *l, int err)
{
	struct stage *t = adit_container_of(l, struct stage, login);

	t->done++;
	t->result = err;
}

static bool
is_done(void *stage)
{
	struct stage *t = stage;

	return t->done > 0;
}

static int
begin(struct stage *t, const char *user, const char *password)
{
	const struct credentials c = {
		.user = user, .user_len = strlen(user),
		.password = password, .password_len = strlen(password),
	};

	login_end(&t->login);
	t->login = (struct login){ .done = login_done };
	t->done = 0;
	return login_begin(&t->login, &t->gate, t->conn, &c);
}

static int
pass(struct stage *t, const char *user, const char *password)
{
	int err = begin(t, user, password);

	if (err != -EINPROGRESS)
		return err;
	assert_true(loop_until(t->loop, is_done, t, PATIENCE_MS));
	return t->result;
}

static const char *
hash_of(const char *password)
{
	static char out[CRYPT_OUTPUT_SIZE];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *work = calloc(1, sizeof(*work));

	assert_non_null(crypt_gensalt_rn("$y$", 1, NULL, 0, setting, sizeof(setting)));
	snprintf(out, sizeof(out), "%s", crypt_rn(password, setting, work, sizeof(*work)));
	free(work);
	return out;
}

static void
write_hashed(const struct stage *t, const char *user, const char *password)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %s\n", user, hash_of(password));
	write_users(t, text);
}

/* ---- logins ------------------------------------------------------------------------------ */

static void
a_gate_that_asks_nothing_is_open(void **state)
{
	struct stage *t = *state;
	const struct credentials none = { .user = NULL };

	assert_int_equal(begin(t, "x", "y"), 0);
	assert_null(t->login.who);
	assert_int_equal(login_begin(&t->login, NULL, t->conn, &none), 0);
}

static void
plain_passwords_and_tokens_are_answered_at_once(void **state)
{
	struct stage *t = *state;
	const struct credentials none = { .user = NULL };

	write_users(t, "alice one\ninline other\n");
	open_gate(t);
	assert_int_equal(begin(t, "alice", "one"), 0);
	assert_string_equal(t->login.who->user, "alice");
	assert_int_equal(begin(t, "tok", ""), 0);
	assert_string_equal(t->login.who->user, "ci");
	assert_int_equal(begin(t, "inline", "other"), 0);	/* the file wins */
	assert_int_equal(begin(t, "inline", "x"), ADIT_EUNAUTH);
	assert_int_equal(begin(t, "alice", ""), ADIT_EUNAUTH);
	assert_null(t->login.who);
	assert_int_equal(login_begin(&t->login, &t->gate, t->conn, &none), ADIT_EUNAUTH);
}

static void
a_hash_is_made_elsewhere_and_remembered(void **state)
{
	struct stage *t = *state;

	write_hashed(t, "alice", "one");
	open_gate(t);
	assert_int_equal(begin(t, "alice", "one"), -EINPROGRESS);
	assert_true(loop_until(t->loop, is_done, t, PATIENCE_MS));
	assert_int_equal(t->result, 0);
	assert_string_equal(t->login.who->user, "alice");
	assert_int_equal(begin(t, "alice", "one"), 0);		/* remembered */
	assert_int_equal(pass(t, "alice", "two"), ADIT_EUNAUTH);
	assert_int_equal(pass(t, "nobody", "one"), ADIT_EUNAUTH);
	assert_null(t->login.who);
	assert_int_equal(begin(t, "inline", "x"), 0);
}

static void
passwords_that_fit_nobody(void **state)
{
	struct stage *t = *state;
	char password[2000];
	struct credentials c = {
		.user = "alice", .user_len = 5, .password = "one\0", .password_len = 4,
	};

	write_hashed(t, "alice", "one");
	open_gate(t);
	memset(password, 'x', sizeof(password) - 1);
	password[sizeof(password) - 1] = 0;
	assert_int_equal(pass(t, "alice", password), ADIT_EUNAUTH);
	assert_int_equal(pass(t, password, "one"), ADIT_EUNAUTH);
	/* What a C string would end before. */
	begin(t, "inline", "x");
	t->done = 0;
	login_end(&t->login);
	t->login = (struct login){ .done = login_done };
	assert_int_equal(login_begin(&t->login, &t->gate, t->conn, &c), -EINPROGRESS);
	assert_true(loop_until(t->loop, is_done, t, PATIENCE_MS));
	assert_int_equal(t->result, ADIT_EUNAUTH);
}

static bool
no_hash_is_made(void *stage)
{
	struct stage *t = stage;

	return permits_part(t->loop->worker)->hashes == 0;
}

static void
a_login_that_is_given_up_calls_nobody(void **state)
{
	struct stage *t = *state;

	write_hashed(t, "alice", "one");
	open_gate(t);
	assert_int_equal(begin(t, "alice", "one"), -EINPROGRESS);
	login_end(&t->login);
	assert_true(loop_until(t->loop, no_hash_is_made, t, PATIENCE_MS));
	assert_int_equal(t->done, 0);
}

/* Strangers who send nonsense cannot make us hash without end. */
static void
hashes_are_bounded(void **state)
{
	struct stage *t = *state;
	struct login many[LOGIN_HASHES_MAX] = { 0 };
	const struct credentials c = {
		.user = "eve", .user_len = 3, .password = "x", .password_len = 1,
	};

	write_hashed(t, "alice", "one");
	open_gate(t);
	for (unsigned i = 0; i < LOGIN_HASHES_MAX; i++)
		assert_int_equal(login_begin(&many[i], &t->gate, t->conn, &c), -EINPROGRESS);
	assert_int_equal(begin(t, "alice", "one"), ADIT_ELIMIT);
	assert_int_equal(begin(t, "inline", "x"), 0);
	for (unsigned i = 0; i < LOGIN_HASHES_MAX; i++)
		login_end(&many[i]);
	assert_true(loop_until(t->loop, no_hash_is_made, t, PATIENCE_MS));
	assert_int_equal(pass(t, "alice", "one"), 0);
}

/* ---- files ------------------------------------------------------------------------------- */

static bool
bob_passes(void *stage)
{
	return begin(stage, "bob", "two") == 0;
}

static bool
nobody_passes(void *stage)
{
	struct stage *t = stage;

	return begin(t, "inline", "x") < 0 && begin(t, "alice", "one") < 0;
}

static void
a_broken_file_lets_nobody_in(void **state)
{
	struct stage *t = *state;

	write_users(t, "alice one\n");
	open_gate(t);
	assert_int_equal(begin(t, "alice", "one"), 0);
	write_users(t, "alice one\nbob $1$abc$def\n");
	assert_true(loop_until(t->loop, nobody_passes, t, PATIENCE_MS));
	write_users(t, "bob two\n");
	assert_true(loop_until(t->loop, bob_passes, t, PATIENCE_MS));
	assert_int_equal(begin(t, "inline", "x"), 0);
	assert_int_equal(begin(t, "alice", "one"), ADIT_EUNAUTH);
	unlink(t->path);
	assert_true(loop_until(t->loop, nobody_passes, t, PATIENCE_MS));
	write_users(t, "bob two\n");
	assert_true(loop_until(t->loop, bob_passes, t, PATIENCE_MS));
}

/* ---- permits ------------------------------------------------------------------------------ */

static void
note_withdrawn(void *arg, const struct adit_err *why)
{
	struct adit_err *said = arg;

	*said = *why;
}

static struct permit *
permit_for(struct stage *t, const char *user, const char *password, struct adit_err *said)
{
	struct grant_claim claim = { .role = GRANT_CLIENT, .host = "" };
	struct adit_err e = ADIT_ERR_INIT;
	struct permit *p;

	assert_int_equal(adit_uuid_parse(A, false, &claim.tunnel), 0);
	assert_int_equal(begin(t, user, password), 0);
	if (permit_new(&t->gate, t->loop->worker, t->login.who, &claim, &p, &e) < 0) {
		*said = e;
		return NULL;
	}
	t->login.who = NULL;
	permit_own(p, note_withdrawn, said);
	return p;
}

static bool
was_said(void *said)
{
	return ((struct adit_err *)said)->code;
}

static void
who_is_taken_out_of_the_file_leaves(void **state)
{
	struct stage *t = *state;
	struct adit_err alice = ADIT_ERR_INIT, bob = ADIT_ERR_INIT, in = ADIT_ERR_INIT;
	struct permit *a, *b, *i;

	write_users(t, "alice one\nbob two\n");
	open_gate(t);
	a = permit_for(t, "alice", "one", &alice);
	b = permit_for(t, "bob", "two", &bob);
	i = permit_for(t, "inline", "x", &in);
	assert_string_equal(permit_user(a), "alice");
	write_users(t, "bob two\n");
	assert_true(loop_until(t->loop, was_said, &alice, PATIENCE_MS));
	assert_int_equal(alice.code, ADIT_EUNAUTH);
	assert_non_null(strstr(alice.text, "permission withdrawn: user alice"));
	permit_end(a);
	/* Nobody's right is withdrawn by a file that cannot be read. */
	unlink(t->path);
	assert_true(loop_until(t->loop, nobody_passes, t, PATIENCE_MS));
	permits_check(t->loop->worker);
	assert_int_equal(bob.code, 0);
	write_users(t, "bob changed\n");
	assert_true(loop_until(t->loop, was_said, &bob, PATIENCE_MS));
	assert_int_equal(in.code, 0);
	permit_end(b);
	permit_end(i);
	permit_end(NULL);
}

static void
other_grants_end_what_they_do_not_give(void **state)
{
	struct stage *t = *state;
	struct adit_err alice = ADIT_ERR_INIT, bob = ADIT_ERR_INIT, more = ADIT_ERR_INIT;
	struct permit *a, *b;

	write_users(t, "alice one\nbob two\n");
	open_gate(t);
	grant(t, "{users: [alice, bob], tunnels: [" A "], connections: 2}");
	a = permit_for(t, "alice", "one", &alice);
	b = permit_for(t, "bob", "two", &bob);
	assert_int_equal(permit_limit(a), 2);
	assert_null(permit_for(t, "bob", "two", &more));
	assert_int_equal(more.code, ADIT_ELIMIT);
	grant(t, "{users: [bob], tunnels: [" A "], connections: 1}");
	permits_check(t->loop->worker);
	assert_int_equal(alice.code, ADIT_EFORBIDDEN);
	assert_non_null(strstr(alice.text, "permission withdrawn: no grant names user alice"));
	assert_int_equal(bob.code, 0);
	assert_int_equal(permit_limit(b), 1);
	permit_end(a);
	assert_null(permit_for(t, "bob", "two", &more));
	permit_end(b);
	b = permit_for(t, "bob", "two", &more);
	assert_non_null(b);
	permit_end(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_gate_that_asks_nothing_is_open),
		TEST(plain_passwords_and_tokens_are_answered_at_once),
		TEST(a_hash_is_made_elsewhere_and_remembered),
		TEST(passwords_that_fit_nobody),
		TEST(a_login_that_is_given_up_calls_nobody),
		TEST(hashes_are_bounded),
		TEST(a_broken_file_lets_nobody_in),
		TEST(who_is_taken_out_of_the_file_leaves),
		TEST(other_grants_end_what_they_do_not_give),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
