#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config/mask.h"
#include "core/config/scalar.h"
#include "core/config/tree.h"

struct reading {
	struct arena		*arena;
	struct config_errors	*errs;
	struct tree_source	 source;
	const struct adit_tree	*root;
};

static int
setup(void **state)
{
	struct reading *r = calloc(1, sizeof(*r));

	r->arena = arena_new();
	r->errs = config_errors_new();
	r->source.name = "t.yaml";
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct reading *r = *state;

	arena_free(r->arena);
	config_errors_free(r->errs);
	free(r);
	return 0;
}

static const struct adit_tree *
read_text(struct reading *r, const char *text)
{
	r->source.text = text;
	r->source.len = strlen(text);
	r->root = tree_read(r->arena, &r->source, r->errs);
	return r->root;
}

static void
assert_one_error(struct reading *r, const char *text, const char *expected)
{
	read_text(r, text);
	assert_int_equal(config_errors_count(r->errs), 1);
	assert_string_equal(config_errors_text(r->errs, 0), expected);
	config_errors_free(r->errs);
	r->errs = config_errors_new();
}

static void
nodes_know_their_place(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *root = read_text(r, "services:\n- name: a\n  Addr: \":80\"\n");
	const struct adit_tree *service, *addr;

	assert_non_null(root);
	service = tree_item(tree_get(root, "services"), 0);
	assert_int_equal(tree_type(service), TREE_MAP);
	addr = tree_get(service, "addr");
	assert_string_equal(tree_text(addr), ":80");
	assert_true(tree_quoted(addr));
	assert_int_equal(tree_pos(addr).line, 3);
	assert_int_equal(tree_pos(addr).column, 9);
	assert_int_equal(tree_pos(tree_key(service, 1)).column, 3);
	assert_string_equal(tree_text(tree_key(service, 1)), "Addr");
	assert_false(tree_quoted(tree_get(service, "name")));
	assert_null(tree_get(service, "nam"));
}

/* What YAML refuses, or takes for the end of a line, is escaped in the JSON that we write. */
static void
json_of_any_text_is_read_again(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *root =
		read_text(r, "a: \"\\x7f \\N \\L \\P \\uFEFF \\x1b \\n \\t \\x9f\"\n"
			     "b: \"\u00e9 \u2027 \u20ac\"\n");
	char *json = tree_emit(root, TREE_JSON, NULL);

	assert_non_null(root);
	assert_non_null(json);
	assert_true(tree_equal(read_text(r, json), root));
	assert_int_equal(config_errors_count(r->errs), 0);
	free(json);
}

static void
json_is_read(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *root =
		read_text(r, "{\"a\":[1,true,null,\"x\\u00e9\"],\n\t\"b\":{\"c\":\"\\/\"}}");

	assert_non_null(root);
	assert_int_equal(tree_len(tree_get(root, "a")), 4);
	assert_true(tree_is_null(tree_item(tree_get(root, "a"), 2)));
	assert_string_equal(tree_text(tree_item(tree_get(root, "a"), 3)), "x\xc3\xa9");
	assert_string_equal(tree_text(tree_get(tree_get(root, "b"), "c")), "/");
}

static void
nothing_is_an_empty_map(void **state)
{
	struct reading *r = *state;

	assert_int_equal(tree_type(read_text(r, "")), TREE_MAP);
	assert_int_equal(tree_type(read_text(r, "# only a comment\n")), TREE_MAP);
	assert_int_equal(tree_type(read_text(r, "---\n~\n")), TREE_MAP);
	assert_int_equal(tree_len(r->root), 0);
}

static void
a_second_document_is_refused(void **state)
{
	struct reading *r = *state;

	assert_non_null(read_text(r, "---\na: 1\n...\n# the end\n"));
	assert_one_error(r, "a: 1\n---\na: 2\n",
			 ("t.yaml:2:1: a second document begins here; a configuration is one\n"
			  "    2 | ---\n      | ^"));
}

static void
aliases_are_the_same_node(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *root = read_text(r, "a: &x {k: 1}\nb: *x\nc: [*x, *x]\n");

	assert_non_null(root);
	assert_ptr_equal(tree_get(root, "a"), tree_get(root, "b"));
	assert_ptr_equal(tree_item(tree_get(root, "c"), 1), tree_get(root, "a"));
}

static void
merge_fills_what_is_missing(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *c;

	assert_non_null(read_text(r, "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\n"
				     "c:\n  <<: [*a, *b]\n  x: 3\n"));
	c = tree_get(r->root, "c");
	assert_int_equal(tree_len(c), 3);
	assert_string_equal(tree_text(tree_get(c, "x")), "3");
	assert_string_equal(tree_text(tree_get(c, "y")), "1");
	assert_string_equal(tree_text(tree_get(c, "z")), "2");
}

static void
errors_show_the_place(void **state)
{
	struct reading *r = *state;

	assert_one_error(r, "a: 1\nb: [1\nc: 2\n",
			 "t.yaml:3:2: did not find expected ',' or ']'\n"
			 "    3 | c: 2\n"
			 "      |  ^");
	assert_one_error(r, "a:\n\tb: 1\n",
			 "t.yaml:2:1: found character that cannot start any token\n"
			 "    2 | \tb: 1\n"
			 "      | ^");
	assert_one_error(r, "a: 1\nb: 2\nA: 3\n",
			 "t.yaml:3:1: key \"A\" stands here twice, first in line 1\n"
			 "    3 | A: 3\n"
			 "      | ^");
	/* The first counts, and the rest is read. */
	assert_string_equal(tree_text(tree_get(r->root, "a")), "1");
	assert_string_equal(tree_text(tree_get(r->root, "b")), "2");
	assert_int_equal(tree_len(r->root), 2);
	assert_one_error(r, "a: *b\n",
			 "t.yaml:1:4: no anchor &b before this alias\n"
			 "    1 | a: *b\n"
			 "      |    ^");
	assert_one_error(r, "a: &b [1, *b]\n",
			 "t.yaml:1:11: alias *b is inside what it stands for\n"
			 "    1 | a: &b [1, *b]\n"
			 "      |           ^");
	assert_one_error(r, "a: {<<: 1}\n",
			 "t.yaml:1:5: << takes a map or a list of maps, not a text\n"
			 "    1 | a: {<<: 1}\n"
			 "      |     ^");
	assert_one_error(r, "[a]: 1\n",
			 "t.yaml:1:1: a key must be a text\n"
			 "    1 | [a]: 1\n"
			 "      | ^");
	assert_one_error(r, "a: !!python/x 1\n",
			 "t.yaml:1:4: unknown tag tag:yaml.org,2002:python/x\n"
			 "    1 | a: !!python/x 1\n"
			 "      |    ^");
	assert_one_error(r, "a: \"x\\0y\"\n",
			 "t.yaml:1:4: a text cannot hold a NUL character\n"
			 "    1 | a: \"x\\0y\"\n"
			 "      |    ^");
	assert_one_error(r, "{\"a\": 1} x\n",
			 "t.yaml:1:10: did not find expected <document start>\n"
			 "    1 | {\"a\": 1} x\n"
			 "      |          ^");
	assert_one_error(r, "a: 1\nb: \xff\n",
			 "t.yaml:2:1: invalid leading UTF-8 octet\n"
			 "    2 | b: \xff\n"
			 "      | ^");
}

static void
passwords_are_not_quoted(void **state)
{
	struct reading *r = *state;

	assert_one_error(r, "auth: {username: u, password: se,cret, token: *x}\n",
			 "t.yaml:1:47: no anchor &x before this alias\n"
			 "    1 | auth: *******************************************\n"
			 "      |                                               ^");
	assert_one_error(r, "{\"a\": {\"password\": \"hunter2\", \"b\": *c}}\n",
			 "t.yaml:1:36: no anchor &c before this alias\n"
			 "    1 | {\"a\": {\"password\": ********************\n"
			 "      |                                    ^");
}

static void
long_lines_are_shown_around_the_caret(void **state)
{
	struct reading *r = *state;
	char text[400], *p = text;

	p += sprintf(p, "a: \"");
	memset(p, 'x', 200);
	sprintf(p + 200, "\" \"");
	assert_null(read_text(r, text));
	assert_non_null(strstr(config_errors_text(r->errs, 0), "\n    1 | xxxx"));
	assert_true(strlen(config_errors_text(r->errs, 0)) < 320);
}

static void
alias_bombs_are_refused(void **state)
{
	struct reading *r = *state;
	char text[2000], *p = text;

	p += sprintf(p, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 12; i++) {
		p += sprintf(p, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			p += sprintf(p, "%s*a%d", j ? "," : "", i - 1);
		p += sprintf(p, "]\n");
	}
	read_text(r, text);
	assert_int_equal(config_errors_count(r->errs), 1);
	assert_non_null(strstr(config_errors_text(r->errs, 0), "more than 1000000 nodes"));
}

static void
depth_is_bounded(void **state)
{
	struct reading *r = *state;
	char text[300];

	memset(text, '[', TREE_MAX_DEPTH);
	memset(text + TREE_MAX_DEPTH, ']', TREE_MAX_DEPTH);
	text[2 * TREE_MAX_DEPTH] = 0;
	assert_non_null(read_text(r, text));
	memset(text, '[', TREE_MAX_DEPTH + 1);
	memset(text + TREE_MAX_DEPTH + 1, ']', TREE_MAX_DEPTH + 1);
	text[2 * TREE_MAX_DEPTH + 2] = 0;
	assert_null(read_text(r, text));
	assert_non_null(strstr(config_errors_text(r->errs, 0), "nested deeper than 64 levels"));
}

static void
equality_looks_at_content(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *root = read_text(
		r, "- {a: 1, b: [x, y]}\n- {B: [x, y], A: 1}\n- {a: '1', b: [x, y]}\n"
		   "- {a: 1, b: [x]}\n- {a: ~, b: [x, y]}\n- {a: 1, c: [x, y]}\n");

	assert_non_null(root);
	assert_true(tree_equal(tree_item(root, 0), tree_item(root, 1)));
	for (size_t i = 2; i < tree_len(root); i++)
		assert_false(tree_equal(tree_item(root, 0), tree_item(root, i)));
	assert_true(tree_equal(NULL, tree_get(tree_item(root, 4), "a")));
}

static void
what_is_printed_reads_the_same(void **state)
{
	struct reading *r = *state;
	const struct adit_tree *root = read_text(
		r, "a: 'true'\nb: true\nc: '10'\nd: 10\ne: ''\nf: ~\ng: '*.x'\nh: \"a\\nb \\\"q\"\n"
		   "i: [a, {b: c}, []]\nj: {}\nk: yes\nl: 'yes'\nm: '1:30'\nn: 1e3\no: '0123'\n"
		   "p: .5\nq: 'null'\nr: '- x'\ns: \"\\t\"\n'10': x\n");
	enum tree_format formats[] = { TREE_YAML, TREE_JSON };

	assert_non_null(root);
	for (size_t i = 0; i < 2; i++) {
		char *text = tree_emit(root, formats[i], NULL);
		const struct adit_tree *again;

		assert_non_null(text);
		again = read_text(r, text);
		assert_non_null(again);
		if (formats[i] == TREE_YAML)
			assert_true(tree_equal(root, again));
		assert_int_equal(tree_len(root), tree_len(again));
		assert_true(tree_quoted(tree_get(again, "a")));
		assert_false(tree_quoted(tree_get(again, "b")));
		assert_true(tree_quoted(tree_get(again, "c")));
		assert_string_equal(tree_text(tree_get(again, "h")), "a\nb \"q");
		free(text);
	}
}

static void
output_is_plain(void **state)
{
	struct reading *r = *state;
	char *text;

	assert_non_null(read_text(r, "{\"services\":[{\"name\":\"a\",\"addr\":\":80\",\"k\":1}]}"));
	text = tree_emit(r->root, TREE_YAML, NULL);
	assert_string_equal(text, "services:\n- name: a\n  addr: :80\n  k: 1\n");
	free(text);
	text = tree_emit(r->root, TREE_JSON, NULL);
	assert_string_equal(text, "{\n  \"services\": [\n    {\n      \"name\": \"a\",\n"
				  "      \"addr\": \":80\",\n      \"k\": 1\n    }\n  ]\n}\n");
	free(text);
}

static void
maps_can_be_built(void **state)
{
	struct reading *r = *state;
	struct tree_pos pos = { .source = NULL };
	struct adit_tree *map = tree_map(r->arena, pos), *copy;
	unsigned weight;

	tree_set_text(r->arena, map, "a", "1", pos);
	weight = tree_weight(map);
	tree_set_text(r->arena, map, "A", "2", pos);
	assert_int_equal(tree_weight(map), weight);
	assert_int_equal(tree_len(map), 1);
	assert_string_equal(tree_text(tree_get(map, "a")), "2");
	copy = tree_copy(r->arena, map);
	tree_remove(copy, "A");
	assert_int_equal(tree_len(copy), 1);
	tree_remove(copy, "a");
	assert_int_equal(tree_len(copy), 0);
	assert_int_equal(tree_len(map), 1);
}

static void
errors_are_counted_sorted_and_said_once(void **state)
{
	struct reading *r = *state;
	const struct tree_source unreadable = {
		.name = "u.yaml", .text = (const char *)(uintptr_t)16, .len = 1 << 20,
	};
	struct config_problem p = { .pos = { .source = &r->source, .line = 9, .column = 1 } };
	char *text = NULL;
	size_t len;
	FILE *f;

	config_errors_add(r->errs, &p, "second");
	config_errors_add(r->errs, &p, "second");
	p.pos.line = 2;
	p.start_only = true;
	config_errors_add(r->errs, &p, "first");
	assert_int_equal(config_errors_count(r->errs), 2);
	assert_int_equal(config_errors_hard(r->errs), 1);
	assert_string_equal(config_errors_text(r->errs, 0), "t.yaml:2:1: first");
	for (unsigned i = 0; i < 200; i++) {
		p.pos.line = 100 + i;
		config_errors_add(r->errs, &p, "more");
	}
	/* Of what is only counted nothing is read: a million mistakes cost no million texts. */
	p.pos.source = &unreadable;
	config_errors_add(r->errs, &p, "more");
	f = open_memstream(&text, &len);
	config_errors_print(r->errs, f);
	fclose(f);
	assert_non_null(strstr(text, "t.yaml:9:1: second\n"));
	assert_non_null(strstr(text, "and 103 more\n"));
	free(text);
}

static const char *
nearest_of(const char *word, const char *const *known)
{
	struct nearest n;

	nearest_init(&n, word);
	for (; *known; known++)
		nearest_try(&n, *known);
	return n.best;
}

static void
the_nearest_name_is_found(void **state)
{
	static const char *const known[] = { "handler", "listener", "tcp", "tls", "quic", NULL };

	(void)state;
	assert_string_equal(nearest_of("handlr", known), "handler");
	assert_string_equal(nearest_of("Lsitener", known), "listener");
	assert_string_equal(nearest_of("tcpp", known), "tcp");
	assert_string_equal(nearest_of("qiuc", known), "quic");
	assert_null(nearest_of("zzz", known));
	assert_null(nearest_of("metadata", known));
	assert_null(nearest_of("", known));
}

static void
urls_are_masked(void **state)
{
	char *masked = config_mask_url("tcp://u:p:w@h:1/x?a=b&handler.auth=zz&c=d", 41);

	(void)state;
	assert_string_equal(masked, "tcp://u:***@h:1/x?a=b&handler.auth=**&c=d");
	free(masked);
	masked = config_mask_url("ss://YWVz@:1", 12);
	assert_string_equal(masked, "ss://****@:1");
	free(masked);
}

/* A password that is not escaped, or no colon before the slashes: what was meant is seen. */
static void
passwords_of_broken_urls_are_masked(void **state)
{
	static const char *const rows[][2] = {
		{ "tcp://u:p/w?x@h:1", "tcp://u:*****@h:1" },
		{ "tcp://u:p/@w@h:1/x", "tcp://u:****@h:1/x" },
		{ "tcp//u:pw@h:1", "tcp//u:**@h:1" },
		{ "u:pw@h:1", "u:**@h:1" },
		{ "tcp://h:80/u@h:1", "tcp://h:80/u@h:1" },
		{ "tcp://:80?a=b@c", "tcp://:80?a=b@c" },
		{ "tcp://[::1]/u@h:1", "tcp://[::1]/u@h:1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *masked = config_mask_url(rows[i][0], strlen(rows[i][0]));

		assert_string_equal(masked, rows[i][1]);
		free(masked);
	}
}

static void
what_a_file_says_cannot_steer_a_terminal(void **state)
{
	struct reading *r = *state;

	assert_one_error(r, "\"\\e[2J\": 1\n\"\\e[2J\": 2\n",
			 ("t.yaml:2:1: key \"?[2J\" stands here twice, first in line 1\n"
			  "    2 | \"\\e[2J\": 2\n      | ^"));
}

static void
durations_are_gos(void **state)
{
	static const struct {
		const char	*text;
		int64_t		 ns;
	} good[] = {
		{ "300ms", 300000000 },	     { "1.5h", 5400000000000 },	 { "1m30s", 90000000000 },
		{ "-1s", -1000000000 },	     { ".5s", 500000000 },	 { "0", 0 },
		{ "10us", 10000 },	     { "10\xc2\xb5s", 10000 },	 { "5ns", 5 },
	};
	static const char *const bad[] = { "",    "10",  "1d",  "s", ".",   ".s",
					   "1s ", " 1s", "1 s", "-", "soon" };
	char text[40];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(scalar_duration(good[i].text, BARE_REFUSED, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(scalar_duration(bad[i], BARE_REFUSED, &ns) < 0);
	assert_int_equal(scalar_duration("10", BARE_SECONDS, &ns), 0);
	assert_int_equal(ns, 10000000000);
	assert_int_equal(scalar_duration("10", BARE_NANOSECONDS, &ns), 0);
	assert_int_equal(ns, 10);
	assert_true(scalar_duration("9999999999h", BARE_REFUSED, &ns) < 0);
	assert_true(scalar_duration("99999999999", BARE_SECONDS, &ns) < 0);
	scalar_duration_format(60000000000, text);
	assert_string_equal(text, "1m0s");
	scalar_duration_format(5400500000000, text);
	assert_string_equal(text, "1h30m0.5s");
	scalar_duration_format(-1500000, text);
	assert_string_equal(text, "-1.5ms");
	scalar_duration_format(0, text);
	assert_string_equal(text, "0s");
	scalar_duration_format(1001, text);
	assert_string_equal(text, "1.001us");
}

static void
numbers_have_limits(void **state)
{
	uint64_t size;
	int64_t n;
	bool b;

	(void)state;
	assert_int_equal(scalar_int("0660", &n), 0);
	assert_int_equal(n, 0660);
	assert_int_equal(scalar_int("-0x10", &n), 0);
	assert_int_equal(n, -16);
	assert_int_equal(scalar_int("-9223372036854775808", &n), 0);
	assert_int_equal(n, INT64_MIN);
	assert_true(scalar_int("9223372036854775808", &n) < 0);
	assert_true(scalar_int("08", &n) < 0);
	assert_true(scalar_int("0x0x5", &n) < 0);
	assert_true(scalar_int("0x0X5", &n) < 0);
	assert_true(scalar_int("1.0", &n) < 0);
	assert_true(scalar_int(" 1", &n) < 0);
	assert_true(scalar_int("--1", &n) < 0);
	assert_int_equal(scalar_size("1.5KB", &size), 0);
	assert_int_equal(size, 1536);
	assert_int_equal(scalar_size("1MB512KB", &size), 0);
	assert_int_equal(size, 1536 * 1024);
	assert_int_equal(scalar_size("100", &size), 0);
	assert_int_equal(size, 100);
	assert_true(scalar_size("1kb", &size) < 0);
	assert_true(scalar_size("1 KB", &size) < 0);
	assert_true(scalar_size("-1", &size) < 0);
	assert_true(scalar_size("99999EB", &size) < 0);
	assert_int_equal(scalar_bool("T", &b), 0);
	assert_true(b);
	assert_int_equal(scalar_bool("2", &b), 0);
	assert_true(b);
	assert_true(scalar_bool("yes", &b) < 0);
	assert_true(scalar_bool("on", &b) < 0);
	assert_true(scalar_bool("", &b) < 0);
}

static void
addresses_are_checked(void **state)
{
	static const char *const good[] = { ":0", ":65535", "h:80", "[::1]:80",
					    "[fe80::1%eth0]:1" };
	static const struct {
		const char	*text;
		size_t		 at;
		const char	*why;
	} bad[] = {
		{ "h", 0, "no port in address \"h\"" },
		{ "", 0, "no port in address \"\"" },
		{ "h:", 2, "no port after \":\" in \"h:\"" },
		{ "h:65536", 2, "bad port \"65536\", expected 0 to 65535" },
		{ "h:-1", 2, "bad port \"-1\", expected 0 to 65535" },
		{ "h:http", 2, "bad port \"http\", expected 0 to 65535" },
		{ "::1", 0, "no port in address \"::1\"" },
		{ "a:b:1", 0, "too many colons in \"a:b:1\", write [v6]:port" },
		{ "[::1", 0, "bad IPv6 address in \"[::1\"" },
		{ "[::1]80", 5, "expected \":\" after \"]\" in \"[::1]80\"" },
		{ "h /:1", 1, "expected an address like \"host:443\", not \"h /:1\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(scalar_addr(good[i], 0, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct adit_err e = ADIT_ERR_INIT;
		size_t at = 99;

		assert_int_equal(scalar_addr(bad[i].text, 0, &at, &e), ADIT_ECONFIG);
		assert_string_equal(e.text, bad[i].why);
		assert_int_equal(at, bad[i].at);
	}
	assert_int_equal(scalar_addr("h", ADDR_NO_PORT, NULL, NULL), 0);
	assert_int_equal(scalar_addr("::1", ADDR_NO_PORT, NULL, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_know_their_place, setup, teardown),
		cmocka_unit_test_setup_teardown(json_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(json_of_any_text_is_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_an_empty_map, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_document_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(aliases_are_the_same_node, setup, teardown),
		cmocka_unit_test_setup_teardown(merge_fills_what_is_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_show_the_place, setup, teardown),
		cmocka_unit_test_setup_teardown(passwords_are_not_quoted, setup, teardown),
		cmocka_unit_test_setup_teardown(long_lines_are_shown_around_the_caret, setup,
						teardown),
		cmocka_unit_test_setup_teardown(alias_bombs_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(equality_looks_at_content, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_printed_reads_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(output_is_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(maps_can_be_built, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_are_counted_sorted_and_said_once, setup,
						teardown),
		cmocka_unit_test(the_nearest_name_is_found),
		cmocka_unit_test(urls_are_masked),
		cmocka_unit_test(passwords_of_broken_urls_are_masked),
		cmocka_unit_test_setup_teardown(what_a_file_says_cannot_steer_a_terminal, setup,
						teardown),
		cmocka_unit_test(durations_are_gos),
		cmocka_unit_test(numbers_have_limits),
		cmocka_unit_test(addresses_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
