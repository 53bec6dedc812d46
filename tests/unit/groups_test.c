/* A groups file of reverst's: what it says, what is wrong with it, who may join. */
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

#include "core/reverst/groups.h"
#include "tests/unit/config_text.h"

/* The groups of a text, whose findings are exactly these lines of both kinds. */
static struct groups *
read_text(const char *text, const char *const *errors, size_t n_errors,
	  const char *const *warnings, size_t n_warnings)
{
	const struct tree_source source = {
		.name = "groups.yml", .text = text, .len = strlen(text),
	};
	struct config_errors *errs = config_errors_new(), *told = config_errors_new();
	struct groups *g = groups_read(&source, errs, told);

	config_errors_expect(errs, errors, n_errors);
	config_errors_expect(told, warnings, n_warnings);
	assert_true((g == NULL) == (n_errors > 0));
	config_errors_free(errs);
	config_errors_free(told);
	return g;
}

static struct groups *
read_good(const char *text)
{
	return read_text(text, NULL, 0, NULL, 0);
}

static const struct group *
find(const struct groups *g, const char *name)
{
	return groups_find(g, name, strlen(name));
}

static void
expect_host(const struct groups *g, const char *host, const char *group)
{
	const struct group *found = groups_find_host(g, host);

	if (group)
		assert_string_equal(found ? group_name(found) : "", group);
	else
		assert_null(found);
}

static int
verify(const struct groups *g, const char *group, const char *value)
{
	struct group_ask ask;

	return group_verify(find(g, group), value, strlen(value), &ask);
}

static void
hosts_and_names_are_found(void **state)
{
	static const char *const open[] = {
		"groups.yml:2:6: groups.b: no authentication: any client may register",
		"groups.yml:3:8: groups.a b: no authentication: any client may register",
		"groups.yml:4:5: groups.c: no authentication: any client may register",
	};
	struct groups *g = read_text("groups:\n"
				     "  b: {hosts: [B.example., one, one, '::1']}\n"
				     "  a b: {hosts: [192.0.2.1]}\n"
				     "  c:\n", NULL, 0, open, 3);

	(void)state;
	assert_int_equal(groups_count(g), 3);
	assert_string_equal(group_name(find(g, "a b")), "a b");
	assert_non_null(find(g, "c"));
	assert_null(find(g, "a"));
	assert_null(find(g, "a b "));
	assert_null(find(g, "B"));
	assert_null(find(g, ""));
	assert_null(groups_find(g, "c\0", 2));
	expect_host(g, "b.example", "b");
	expect_host(g, "one", "b");
	expect_host(g, "::1", "b");
	expect_host(g, "192.0.2.1", "a b");
	expect_host(g, "two", NULL);
	assert_int_equal(verify(g, "c", "Anything at all"), 0);
	assert_int_equal(verify(g, "c", ""), 0);
	groups_free(g);
}

static void
no_groups_are_fine(void **state)
{
	struct groups *g = read_good("groups: {}\n");

	(void)state;
	assert_int_equal(groups_count(g), 0);
	assert_null(find(g, "a"));
	expect_host(g, "a", NULL);
	groups_free(g);
}

/* Files that reverst takes are taken, and what they say in vain is told. */
static void
what_says_nothing_is_told(void **state)
{
	static const char *const warnings[] = {
		"groups.yml:1:1: unknown key \"version\" says nothing",
		"groups.yml:4:5: groups.a: unknown key \"weight\" says nothing",
		"groups.yml:5:13: groups.a.hosts[0]: not the name of a host: nobody can ask for it",
		"groups.yml:5:22: groups.a.hosts[1]: the port does not count",
		"groups.yml:6:43: groups.a.authentication.basic: unknown key \"x\" says nothing",
	};
	struct groups *g = read_text("version: 1\n"
				     "groups:\n"
				     "  a:\n"
				     "    weight: 3\n"
				     "    hosts: [\"*.b.c\", \"d:80\"]\n"
				     "    authentication: {basic: {username: u, x: y,"
				     " password: p}}\n", NULL, 0, warnings, 5);

	(void)state;
	expect_host(g, "d", "a");
	groups_free(g);
}

static void
all_that_is_wrong_is_told_at_once(void **state)
{
	static const char *const errors[] = {
		"groups.yml:2:14: groups.a: hosts: expected a list, not a text",
		"groups.yml:5:14: groups.b.authentication.basic: password must be non-empty string",
		("groups.yml:6:15: groups.b.authentication.bearer: one of token, tokenPath, "
		 "hashedToken or hashedTokenPath must be non-empty string"),
		("groups.yml:7:17: groups.b.authentication.external: only one authentication "
		 "strategy per scheme allowed: \"Bearer\" has duplicates"),
		("groups.yml:7:17: groups.b.authentication.external: endpoint must be non-empty "
		 "string"),
		"groups.yml:11:36: x.example is a host of group \"c\" too",
	};
	static const char text[] = "groups:\n"
				   "  a: {hosts: one}\n"
				   "  b:\n"
				   "    authentication:\n"
				   "      basic: {username: u}\n"
				   "      bearer: {scheme: Bearer}\n"
				   "      external: {}\n"
				   "  c: {hosts: [x.example], authentication:\n"
				   "      {bearer: {token: t}}}\n"
				   "  d: {authentication: {bearer: {token: t}},\n"
				   "                           hosts: [X.example.]}\n";
	static const char *const warnings[] = {
		"groups.yml:2:6: groups.a: no authentication: any client may register",
	};

	(void)state;
	read_text(text, errors, 6, warnings, 1);
}

static void
single_mistakes_are_told(void **state)
{
	static const struct { const char *text, *error; } rows[] = {
		{ "", "groups.yml:1:1: expected groups: {NAME: ...}" },
		{ "groups: [a]", "groups.yml:1:9: groups: expected a map, not a list" },
		{ "groups: {a: b}", "groups.yml:1:13: groups.a: expected a map, not a text" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		read_text(rows[i].text, &rows[i].error, 1, NULL, 0);
}

static void
there_is_an_end_to_groups(void **state)
{
	static const char *const error = "groups.yml:1:9: groups: more than 10000 groups";
	static char text[20 * (GROUPS_MAX + 2)];
	size_t len = (size_t)sprintf(text, "groups: {");

	(void)state;
	for (int i = 0; i <= GROUPS_MAX; i++)
		len += (size_t)sprintf(text + len, "g%d: {}, ", i);
	strcpy(text + len, "}");
	read_text(text, &error, 1, NULL, 0);
}

static const char basic[] = "groups: {g: {authentication: {basic: {%s"
			    "username: user, password: 'pa:ss'}}}}";

static struct groups *
basic_groups(const char *scheme)
{
	char text[256];

	snprintf(text, sizeof(text), basic, scheme);
	return read_good(text);
}

static void
basic_is_verified(void **state)
{
	struct groups *g = basic_groups("");

	(void)state;
	assert_int_equal(verify(g, "g", "Basic dXNlcjpwYTpzcw=="), 0);
	assert_int_equal(verify(g, "g", " \tBasic dXNlcjpwYTpzcw==\r\n"), 0);
	assert_int_equal(verify(g, "g", "basic dXNlcjpwYTpzcw=="), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic  dXNlcjpwYTpzcw=="), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic dXNlcjpwYTpzcw"), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic dXNlcjpw\nYTpzcw=="), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic dXNlcjpwYQ=="), ADIT_EUNAUTH);	/* user:pa */
	assert_int_equal(verify(g, "g", "Basic dXNlOnBhOnNz"), ADIT_EUNAUTH);	/* use:pa:ss */
	assert_int_equal(verify(g, "g", "Basic dXNlcnBhc3M="), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic ===="), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic"), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Basic "), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", ""), ADIT_EUNAUTH);
	assert_int_equal(verify(g, "g", "Bearer user"), ADIT_EUNAUTH);
	groups_free(g);
}

/* Where reverst refuses everybody. */
static void
a_scheme_of_ones_own_counts(void **state)
{
	struct groups *g = basic_groups("scheme: Custom, ");

	(void)state;
	assert_int_equal(verify(g, "g", "Custom dXNlcjpwYTpzcw=="), 0);
	assert_int_equal(verify(g, "g", "Basic dXNlcjpwYTpzcw=="), ADIT_EUNAUTH);
	groups_free(g);
}

static void
expect_bearer(const char *key, const char *value, const char *token)
{
	char text[512], header[128];
	struct groups *g;

	snprintf(text, sizeof(text), "groups: {g: {authentication: {bearer: {%s: \"%s\"}}}}", key,
		 value);
	g = read_good(text);
	snprintf(header, sizeof(header), "Bearer %s", token);
	assert_int_equal(verify(g, "g", header), 0);
	strcat(header, "x");
	assert_int_equal(verify(g, "g", header), ADIT_EUNAUTH);
	groups_free(g);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* SHA-256 of "abc" (FIPS 180-2, B.1). */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void
tokens_are_verified(void **state)
{
	char path[] = "/tmp/adit-groups-XXXXXX", url[64];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(url, sizeof(url), "file://%s", path);
	expect_bearer("token", "some token", "some token");
	expect_bearer("hashedToken", ABC, "abc");
	write_file(path, "secret\n");
	expect_bearer("tokenPath", path, "secret");
	expect_bearer("tokenPath", url, "secret");
	write_file(path, ABC "\r\n");
	expect_bearer("hashedTokenPath", path, "abc");
	unlink(path);
}

static void
tokens_that_cannot_be_are_told(void **state)
{
	static const struct { const char *value, *error; } rows[] = {
		{ "hashedToken: abc",
		  "groups.yml:1:53: groups.g.authentication.bearer: hashedToken: not a SHA-256 in "
		  "hex" },
		{ "tokenPath: s3://b/c",
		  "groups.yml:1:51: groups.g.authentication.bearer: tokenPath: unsupported path "
		  "scheme: \"s3\" (expected one of [file k8s])" },
		{ "tokenPath: /tmp",
		  "groups.yml:1:51: groups.g.authentication.bearer: tokenPath: /tmp: not a file of "
		  "at most 64 KiB" },
		{ "tokenPath: /nonexistent/t",
		  "groups.yml:1:51: groups.g.authentication.bearer: tokenPath: /nonexistent/t: "
		  "No such file or directory" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[256];

		snprintf(text, sizeof(text), "groups: {g: {authentication: {bearer: {%s}}}}",
			 rows[i].value);
		read_text(text, &rows[i].error, 1, NULL, 0);
	}
}

static void
an_endpoint_is_to_be_asked(void **state)
{
	struct groups *g = read_good("groups: {g: {authentication: {bearer: {token: t}, external: "
				     "{scheme: JWT, endpoint: 'http://127.0.0.1:1/a?b=c'}}}}");
	struct group_ask ask;

	(void)state;
	assert_int_equal(verify(g, "g", "Bearer t"), 0);
	assert_int_equal(group_verify(find(g, "g"), "JWT a.b.c", 9, &ask), -EAGAIN);
	assert_string_equal(ask.strategy->endpoint, "http://127.0.0.1:1/a?b=c");
	assert_string_equal(ask.strategy->scheme, "JWT");
	assert_int_equal(ask.len, 5);
	assert_memory_equal(ask.payload, "a.b.c", 5);
	groups_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_and_names_are_found),
		cmocka_unit_test(no_groups_are_fine),
		cmocka_unit_test(what_says_nothing_is_told),
		cmocka_unit_test(all_that_is_wrong_is_told_at_once),
		cmocka_unit_test(single_mistakes_are_told),
		cmocka_unit_test(there_is_an_end_to_groups),
		cmocka_unit_test(basic_is_verified),
		cmocka_unit_test(a_scheme_of_ones_own_counts),
		cmocka_unit_test(tokens_are_verified),
		cmocka_unit_test(tokens_that_cannot_be_are_told),
		cmocka_unit_test(an_endpoint_is_to_be_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
