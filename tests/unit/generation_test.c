/* Generations: what a reload takes over, what it makes anew, and what a failure leaves alone. */
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

#include "core/identity/gate.h"
#include "core/service/auth.h"
#include "tests/unit/config_text.h"
#include "tests/unit/fakes.h"
#include "tests/unit/service_stage.h"

#define A "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define B "ac74d9dd-3125-442a-a7c1-f9e49e05faca"

#define SERVICE(name, more) \
	"- {name: " name ", addr: \":1\", handler: {type: fake}, listener: {type: fake" more "}}\n"
#define CHAIN(name, addr) \
	"- name: " name "\n" \
	"  hops: [{nodes: [{name: n, addr: \"" addr "\", connector: {type: fake}, " \
	"dialer: {type: fake}}]}]\n"

/* ---- taking over ------------------------------------------------------- */

static void
what_does_not_change_is_taken_over(void **state)
{
	struct service_stage *t = *state;
	struct service *one, *two;
	struct chain *c;

	service_stage_load(t, "services:\n" SERVICE("one", ", chain: c") SERVICE("two", "")
			      "chains:\n" CHAIN("c", "h:1"));
	one = service_stage_find(t, "one");
	two = service_stage_find(t, "two");
	c = t->now->chains[0];
	assert_int_equal(fakes_count("init listener"), 2);
	fakes_expect("init connector n; protocol bound/1; init dialer n; "
		     "init handler one; init listener one; init handler two; init listener two; "
		     "open handler one; open listener one at :1; "
		     "open handler two; open listener two at :1");
	/* Other places, another order of keys, one more. */
	service_stage_load(t, "chains:\n" CHAIN("d", "h:2") CHAIN("c", "h:1")
			      "services:\n" SERVICE("three", "")
			      "- {listener: {type: fake}, addr: \":1\", handler: {type: fake}, "
			      "name: two}\n" SERVICE("one", ", chain: c"));
	assert_ptr_equal(service_stage_find(t, "one"), one);
	assert_ptr_equal(service_stage_find(t, "two"), two);
	assert_ptr_equal(t->now->chains[1], c);
	assert_false(t->now->taken[0]);
	assert_true(t->now->taken[1] && t->now->taken[2]);
	fakes_expect("init connector n; protocol bound/1; init dialer n; "
		     "init handler three; init listener three; "
		     "open handler three; open listener three at :1");
}

static void
what_changes_is_made_anew_with_all_that_names_it(void **state)
{
	struct service_stage *t = *state;
	struct service *one, *two;

	service_stage_load(t, "services:\n" SERVICE("one", ", chain: c") SERVICE("two", "")
			      "chains:\n" CHAIN("c", "h:1"));
	one = service_stage_find(t, "one");
	two = service_stage_find(t, "two");
	fakes_expect("init connector n; protocol bound/1; init dialer n; "
		     "init handler one; init listener one; init handler two; init listener two; "
		     "open handler one; open listener one at :1; "
		     "open handler two; open listener two at :1");
	service_stage_load(t, "services:\n" SERVICE("one", ", chain: c") SERVICE("two", "")
			      "chains:\n" CHAIN("c", "h:2"));
	assert_ptr_not_equal(service_stage_find(t, "one"), one);
	assert_ptr_equal(service_stage_find(t, "two"), two);
	/* The old one goes after the new one is open, and the chain with the last that names it. */
	fakes_expect("init connector n; protocol bound/1; init dialer n; "
		     "init handler one; init listener one; open handler one; "
		     "open listener one at :1; close listener one; close handler one; "
		     "fini listener one; fini handler one; fini dialer n; fini connector n");
}

static void
what_two_have_is_no_ones_alone(void **state)
{
	struct service_stage *t = *state;
	struct generation *next;

	service_stage_load(t, "services:\n" SERVICE("one", "")
			      "chains:\n" CHAIN("c", "h:1") CHAIN("d", "h:1"));
	next = service_stage_build(t, "services:\n" SERVICE("two", "") SERVICE("one", "")
				      "chains:\n" CHAIN("d", "h:1") CHAIN("e", "h:1"));
	assert_non_null(next);
	assert_true(generation_has(next, t->now->services[0]));
	assert_true(generation_has(t->now, next->services[1]));
	assert_false(generation_has(t->now, next->services[0]));
	assert_false(generation_has(NULL, next->services[0]));
	generation_forget_chains(t->now, next);
	assert_non_null(t->now->chains[0]);
	assert_null(t->now->chains[1]);
	generation_free(next, t->now);
}

/* ---- failing ----------------------------------------------------------- */

static void
a_mistake_leaves_everything_as_it_was(void **state)
{
	struct service_stage *t = *state;
	struct service *one;

	service_stage_load(t, "services:\n" SERVICE("one", ""));
	one = service_stage_find(t, "one");
	fakes_expect("init handler one; init listener one; open handler one; "
		     "open listener one at :1");
	assert_null(service_stage_build(
		t, "services:\n" SERVICE("four", "")
		   "- {name: two, addr: \":1\", handler: {type: fake, metadata: {fail: init}}, "
		   "listener: {type: fake}}\n"
		   "- {name: three, addr: \":1\", listener: {type: fake, metadata: {fail: init, "
		   "file: /x}}, handler: {type: fake}}\n" SERVICE("one", "")));
	assert_int_equal(config_errors_count(t->errs), 2);
	assert_non_null(
		strstr(config_errors_text(t->errs, 0), "services[1].handler: handler will"));
	assert_non_null(strstr(config_errors_text(t->errs, 1), "services[2].listener.metadata: "));
	assert_ptr_equal(service_stage_find(t, "one"), one);
	assert_int_equal(fakes_count("open"), 0);
	assert_int_equal(fakes_count("close"), 0);
	assert_int_equal(fakes_count("fini listener one"), 0);
	assert_int_equal(fakes_count("init"), 6);
	assert_int_equal(fakes_count("fini"), 6);
}

static void
what_cannot_be_opened_leaves_everything_as_it_was(void **state)
{
	struct service_stage *t = *state;

	service_stage_load(t, "services:\n" SERVICE("one", ""));
	fakes_expect("init handler one; init listener one; open handler one; "
		     "open listener one at :1");
	assert_null(service_stage_build(
		t, "services:\n" SERVICE("one", "") SERVICE("fine", "")
		   SERVICE("a", ", metadata: {fail: open}")
		   SERVICE("b", ", metadata: {fail: open}")));
	assert_int_equal(config_errors_count(t->errs), 2);
	assert_non_null(strstr(config_errors_text(t->errs, 0),
			       "stdin:4:19: services[2].addr: listen :1: in use\n"));
	assert_non_null(strstr(config_errors_text(t->errs, 1),
			       "stdin:5:19: services[3].addr: listen :1: in use\n"));
	assert_int_equal(fakes_count("close listener fine"), 1);
	assert_int_equal(fakes_count("close handler"), 3);
	assert_int_equal(fakes_count("close listener"), 1);
	assert_int_equal(fakes_count("fini"), 6);
}

static void
what_starts_nothing_or_is_not_there_is_refused(void **state)
{
	static const char *const nothing[] = {
		("stdin:1:11: services: there are none, nothing would be started\n"
		 "    1 | services: []"),
	};
	static const char *const more[] = {
		"stdin:2:12: profiling: profiling is not available in this build",
	};
	struct service_stage *t = *state;

	assert_null(service_stage_build(t, "services: []\n"));
	config_errors_expect(t->errs, nothing, 1);
	assert_null(service_stage_build(
		t, "services: [{name: a, addr: \":1\", handler: {type: fake}, "
		   "listener: {type: fake}}]\nprofiling: {addr: \":2\"}\n"));
	config_errors_expect(t->errs, more, 1);
}

/* ---- ingresses --------------------------------------------------------- */

#define RULES(uuid) \
	"services:\n" SERVICE("one", "") \
	"ingresses: [{name: i, rules: [{hostname: h, endpoint: " uuid "}]}]\n"

static const char *
find(const struct service_stage *t, const struct adit_ingress *i)
{
	static char text[37];
	struct adit_rule rule;

	if (i->ops->lookup((struct adit_ingress *)(uintptr_t)i, t->loop->worker, "s", "h",
			   &rule) < 0)
		return "";
	adit_uuid_format(&rule.tunnel, text);
	return text;
}

static void
an_ingress_stays_and_its_rules_change(void **state)
{
	struct service_stage *t = *state;
	struct generation *next;
	struct adit_ingress *i;
	struct service *one;

	service_stage_load(t, RULES(A));
	one = service_stage_find(t, "one");
	i = t->now->ingresses[0];
	assert_string_equal(find(t, i), A);
	next = service_stage_build(t, RULES(B));
	assert_non_null(next);
	assert_ptr_equal(next->ingresses[0], i);
	assert_string_equal(find(t, i), A);	/* until it cannot fail any more */
	generation_free(next, t->now);
	assert_string_equal(find(t, i), A);
	service_stage_load(t, RULES(B));
	assert_ptr_equal(t->now->ingresses[0], i);
	assert_ptr_equal(service_stage_find(t, "one"), one);
	assert_string_equal(find(t, i), B);
}

/* Also where there is one of that name already. */
static void
sources_that_cannot_be_are_refused_at_a_reload_too(void **state)
{
	static const char *const wrong[] = {
		("stdin:3:50: ingresses[0]: redis: type: "
		 "\"zset\" is none of hash, set, list and string"),
	};
	static const char *const missing[] = {
		"stdin:3:36: ingresses[0]: /dev/null/rules: Not a directory",
	};
	struct service_stage *t = *state;

	service_stage_load(t, RULES(A));
	assert_null(service_stage_build(
		t, "services:\n" SERVICE("one", "")
		   "ingresses: [{name: i, redis: {addr: \"r:1\", type: zset}}]\n"));
	config_errors_expect(t->errs, wrong, 1);
	assert_null(service_stage_build(t,
					"services:\n" SERVICE("one", "")
					"ingresses: [{name: i, file: {path: /dev/null/rules}}]\n"));
	config_errors_expect(t->errs, missing, 1);
	assert_string_equal(find(t, t->now->ingresses[0]), A);
}

/* ---- users ------------------------------------------------------------- */

static char users[] = "/tmp/adit-users-XXXXXX";

static void
write_users(const char *text)
{
	FILE *f = fopen(users, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Whether that user may pass, as s has it now. */
static bool
passes(struct service *s, const char *user)
{
	const struct credentials c = {
		.user = user, .user_len = strlen(user), .password = "p", .password_len = 1,
	};
	struct auth_found found;
	struct auth_set *now;

	return gate_source(service_gate(s), 0, &now) && auth_set_check(now, &c, &found) == 0;
}

static void
a_file_of_users_is_read_anew(void **state)
{
	struct service_stage *t = *state;
	int fd = mkstemp(users);
	char text[512], said[100];
	struct generation *next;
	struct service *s;

	assert_true(fd >= 0);
	close(fd);
	snprintf(text, sizeof(text),
		 "services: [{name: s, addr: \":1\", handler: {type: tunnel, auther: a}, "
		 "listener: {type: fake}}]\nauthers: [{name: a, file: {path: %s}}]\n", users);
	write_users("old p\n");
	service_stage_load(t, text);
	s = service_stage_find(t, "s");
	assert_true(passes(s, "old"));
	assert_false(passes(s, "new"));
	write_users("new p\n");
	next = service_stage_build(t, text);
	assert_non_null(next);
	assert_true(passes(s, "old"));		/* until it cannot fail any more */
	generation_free(next, t->now);
	assert_true(passes(s, "old"));
	service_stage_load(t, text);
	assert_ptr_equal(service_stage_find(t, "s"), s);
	assert_false(passes(s, "old"));
	assert_true(passes(s, "new"));
	unlink(users);
	assert_null(service_stage_build(t, text));
	snprintf(said, sizeof(said), "stdin:2:34: authers[0]: %s: No such file", users);
	assert_int_equal(config_errors_count(t->errs), 1);
	assert_memory_equal(config_errors_text(t->errs, 0), said, strlen(said));
	assert_true(passes(s, "new"));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, service_stage_setup_fakes, service_stage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_does_not_change_is_taken_over),
		TEST(what_changes_is_made_anew_with_all_that_names_it),
		TEST(what_two_have_is_no_ones_alone),
		TEST(a_mistake_leaves_everything_as_it_was),
		TEST(what_cannot_be_opened_leaves_everything_as_it_was),
		TEST(what_starts_nothing_or_is_not_there_is_refused),
		TEST(an_ingress_stays_and_its_rules_change),
		TEST(sources_that_cannot_be_are_refused_at_a_reload_too),
		TEST(a_file_of_users_is_read_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
