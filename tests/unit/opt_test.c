#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/opt.h>

#include "core/config/opts.h"

struct example {
	bool			 flag, port_given;
	int64_t			 port;
	uint64_t		 ttl, size;
	char			*name, *addr, *chain, *secret;
	struct adit_strings	 list;
	struct adit_pairs	 header;
	struct adit_uuid	 id;
	int			 mode;
	const struct adit_tree	*tree;
};

static const char *const ttl_aliases[] = { "keepalive.ttl", "old_ttl", NULL };
static const char *const modes[] = { "slow", "fast", NULL };

#define AT(field) .offset = offsetof(struct example, field)

static const struct adit_opt rows[] = {
	{ .name = "flag", .type = ADIT_OPT_BOOL, AT(flag), .help = "a switch" },
	{ .name = "port",
	  .type = ADIT_OPT_INT,
	  AT(port),
	  .min = 1,
	  .max = 65535,
	  .def = "80",
	  .given = offsetof(struct example, port_given),
	  .help = "a port" },
	{ .name = "ttl",
	  .aliases = ttl_aliases,
	  .type = ADIT_OPT_DURATION,
	  AT(ttl),
	  .def = "10s",
	  .min = 1000000000,
	  .max = INT64_MAX,
	  .help = "how long it lives" },
	{ .name = "size", .type = ADIT_OPT_SIZE, AT(size), .help = "bytes" },
	{ .name = "name", .type = ADIT_OPT_STRING, AT(name), .def = "x", .help = "a text" },
	{ .name = "addr", .type = ADIT_OPT_ADDR, AT(addr), .help = "where" },
	{ .name = "chain",
	  .type = ADIT_OPT_NAME,
	  AT(chain),
	  .refers = "chains",
	  .help = "by name" },
	{ .name = "secret",
	  .type = ADIT_OPT_UUID,
	  .flags = ADIT_OPT_SECRET,
	  AT(id),
	  .help = "hidden" },
	{ .name = "list", .type = ADIT_OPT_LIST, AT(list), .help = "several" },
	{ .name = "header", .type = ADIT_OPT_MAP, AT(header), .help = "pairs" },
	{ .name = "id", .type = ADIT_OPT_UUID, AT(id), .help = "which" },
	{ .name = "mode", .type = ADIT_OPT_ENUM, AT(mode), .values = modes, .help = "how" },
	{ .name = "tree", .type = ADIT_OPT_TREE, AT(tree), .help = "raw" },
	ADIT_OPT_END,
};

struct filling {
	struct arena		*arena;
	struct config_errors	*errs;
	struct tree_source	 source;
	struct example		 x;
};

static int
setup(void **state)
{
	struct filling *f = calloc(1, sizeof(*f));

	f->arena = arena_new();
	f->errs = config_errors_new();
	f->source.name = "t.yaml";
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct filling *f = *state;

	adit_opt_fini(rows, &f->x);
	arena_free(f->arena);
	config_errors_free(f->errs);
	free(f);
	return 0;
}

static int
fill(struct filling *f, const char *text, bool lenient)
{
	struct opts_src src = { .lenient = lenient };

	f->source.text = text;
	f->source.len = strlen(text);
	src.node = tree_read(f->arena, &f->source, f->errs);
	assert_non_null(src.node);
	adit_opt_fini(rows, &f->x);
	return opts_fill(rows, &f->x, &src, f->errs);
}

static void
every_type_is_filled(void **state)
{
	struct filling *f = *state;
	char text[37];

	assert_int_equal(fill(f, "FLAG: true\nport: 443\nkeepalive.ttl: 1m\nsize: 64KB\nname: 10\n"
				 "addr: :80\nchain: c\nlist: [a, 'b,c']\nheader: {X-A: 1, b: ~}\n"
				 "id: 4D21094E-b74c-4916-86c1-d9fa36ea677b\n"
				 "mode: Fast\ntree: [1]\n",
			      false), 0);
	assert_true(f->x.flag);
	assert_int_equal(f->x.port, 443);
	assert_true(f->x.port_given);
	assert_int_equal(f->x.ttl, 60000000000);
	assert_int_equal(f->x.size, 65536);
	assert_string_equal(f->x.name, "10");
	assert_string_equal(f->x.addr, ":80");
	assert_string_equal(f->x.chain, "c");
	assert_int_equal(f->x.list.n, 2);
	assert_string_equal(f->x.list.v[1], "b,c");
	assert_int_equal(f->x.header.n, 2);
	assert_string_equal(f->x.header.name[0], "X-A");
	assert_string_equal(f->x.header.value[1], "");
	adit_uuid_format(&f->x.id, text);
	assert_string_equal(text, "4d21094e-b74c-4916-86c1-d9fa36ea677b");
	assert_int_equal(f->x.mode, 1);
	assert_int_equal(tree_len(f->x.tree), 1);
}

static void
defaults_stand_where_nothing_is_said(void **state)
{
	struct filling *f = *state;

	assert_int_equal(fill(f, "port: ~\n", false), 0);
	assert_int_equal(f->x.port, 80);
	assert_false(f->x.port_given);
	assert_int_equal(f->x.ttl, 10000000000);
	assert_string_equal(f->x.name, "x");
	assert_null(f->x.addr);
}

static void
the_first_alias_wins(void **state)
{
	struct filling *f = *state;

	assert_int_equal(fill(f, "old_ttl: 3s\nkeepalive.ttl: 2s\n", false), 0);
	assert_int_equal(f->x.ttl, 2000000000);
	assert_int_equal(fill(f, "old_ttl: 3s\nttl: 5\n", false), 0);
	assert_int_equal(f->x.ttl, 5000000000);
}

static void
one_text_is_a_list_with_commas(void **state)
{
	struct filling *f = *state;

	assert_int_equal(fill(f, "list: ' a, b c ,,d'\n", false), 0);
	assert_int_equal(f->x.list.n, 3);
	assert_string_equal(f->x.list.v[0], "a");
	assert_string_equal(f->x.list.v[1], "b c");
	assert_string_equal(f->x.list.v[2], "d");
}

static void
all_errors_come_in_one_run(void **state)
{
	static const char *const expected[] = {
		"t.yaml:1:7: flag: expected true or false, not \"yes\"\n"
		"    1 | flag: yes\n      |       ^",
		"t.yaml:2:7: port: expected 1 to 65535, not \"70000\"\n"
		"    2 | port: 70000\n      |       ^",
		"t.yaml:3:6: ttl: expected a duration like \"30s\", not \"soon\"\n"
		"    3 | ttl: soon\n      |      ^",
		"t.yaml:4:7: size: expected a size like \"64KB\", not \"1kb\"\n"
		"    4 | size: 1kb\n      |       ^",
		"t.yaml:5:7: addr: bad port \"99999\", expected 0 to 65535\n"
		"    5 | addr: :99999\n      |       ^",
		"t.yaml:6:7: list: expected a list of texts, not a map in it\n"
		"    6 | list: [{}]\n      |       ^",
		"t.yaml:7:9: header: expected a map, not a text\n"
		"    7 | header: x\n      |         ^",
		"t.yaml:8:5: id: expected a UUID, not \"abc\"\n"
		"    8 | id: abc\n      |     ^",
		"t.yaml:9:7: mode: expected one of slow, fast, not \"fst\"\n"
		"    9 | mode: fst\n      |       ^",
		"t.yaml:10:7: name: expected a text, not a list\n"
		"   10 | name: [a]\n      |       ^",
		"t.yaml:11:9: secret: expected a UUID, not what is given\n"
		"   11 | secret: *******\n      |         ^",
		"t.yaml:12:1: hedaer: unknown key, did you mean \"header\"?\n"
		"   12 | hedaer: {}\n      | ^",
	};
	struct filling *f = *state;

	assert_int_equal(fill(f, "flag: yes\nport: 70000\nttl: soon\nsize: 1kb\naddr: :99999\n"
				 "list: [{}]\nheader: x\nid: abc\nmode: fst\nname: [a]\n"
				 "secret: hunter2\nhedaer: {}\n", false), ADIT_ECONFIG);
	assert_int_equal(config_errors_count(f->errs), sizeof(expected) / sizeof(*expected));
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		assert_string_equal(config_errors_text(f->errs, i), expected[i]);
}

static void
ranges_are_told_in_their_unit(void **state)
{
	struct filling *f = *state;

	assert_int_equal(fill(f, "ttl: 10ms\n", false), ADIT_ECONFIG);
	assert_string_equal(config_errors_text(f->errs, 0),
			    "t.yaml:1:6: ttl: expected at least 1s, not \"10ms\"\n"
			    "    1 | ttl: 10ms\n      |      ^");
}

static void
lenient_passes_over_unknown_keys(void **state)
{
	struct filling *f = *state;

	assert_int_equal(fill(f, "zzz: 1\nport: 2\n", true), 0);
	assert_int_equal(f->x.port, 2);
	assert_int_equal(fill(f, "zzz: 1\n", false), ADIT_ECONFIG);
}

static void
a_required_key_is_missed(void **state)
{
	static const struct adit_opt required[] = {
		{ .name = "name", .type = ADIT_OPT_STRING, .flags = ADIT_OPT_REQUIRED },
		ADIT_OPT_END,
	};
	struct filling *f = *state;
	struct opts_src src = { .node = NULL };
	struct tree_path path = { .key = "metadata" };
	char *instance = NULL;

	src.path = &path;
	assert_int_equal(opts_fill(required, &instance, &src, f->errs), ADIT_ECONFIG);
	assert_string_equal(config_errors_text(f->errs, 0), "metadata: key \"name\" is missing");
}

static void
single_values_from_text(void **state)
{
	struct filling *f = *state;
	struct adit_err e = ADIT_ERR_INIT;

	assert_int_equal(adit_opt_set(adit_opt_find(rows, "PORT"), &f->x, "81", &e), 0);
	assert_int_equal(f->x.port, 81);
	assert_true(f->x.port_given);
	assert_int_equal(adit_opt_set(adit_opt_find(rows, "old_ttl"), &f->x, "-1s", &e),
			 ADIT_ECONFIG);
	assert_string_equal(e.text, "expected at least 1s, not \"-1s\"");
	assert_int_equal(adit_opt_set(adit_opt_find(rows, "size"), &f->x, "-1", &e), ADIT_ECONFIG);
	assert_int_equal(adit_opt_set(adit_opt_find(rows, "header"), &f->x, "a", &e), ADIT_ECONFIG);
	assert_int_equal(adit_opt_set(adit_opt_find(rows, "chain"), &f->x, "", &e), ADIT_ECONFIG);
	assert_int_equal(adit_opt_set(adit_opt_find(rows, "name"), &f->x, "a", &e), 0);
	assert_int_equal(adit_opt_set(adit_opt_find(rows, "name"), &f->x, "b", &e), 0);
	assert_string_equal(f->x.name, "b");
	assert_null(adit_opt_find(rows, "nam"));
	assert_null(adit_opt_find(NULL, "name"));
}

static void
uuids_in_all_forms(void **state)
{
	static const char *const loose[] = {
		"4d21094eb74c491686c1d9fa36ea677b",
		"{4d21094e-b74c-4916-86c1-d9fa36ea677b}",
		"urn:uuid:4d21094e-b74c-4916-86c1-d9fa36ea677b",
		"4D21094E-B74C-4916-86C1-D9FA36EA677B",
	};
	static const char *const bad[] = {
		"", "abc", "4d21094e-b74c-4916-86c1-d9fa36ea677",
		"4d21094e-b74c-4916-86c1-d9fa36ea677g",
		"4d21094e-b74c-4916-86c1-d9fa36ea677b0", "(4d21094e-b74c-4916-86c1-d9fa36ea677b)",
		"4d21094e0b74c04916086c10d9fa36ea677b",
	};
	struct adit_uuid a, b;
	char text[37];

	(void)state;
	assert_int_equal(adit_uuid_parse(loose[3], false, &a), 0);
	assert_int_equal(a.b[0], 0x4d);
	assert_int_equal(a.b[15], 0x7b);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(adit_uuid_parse(loose[i], true, &b), 0);
		assert_memory_equal(&a, &b, sizeof(a));
		assert_int_equal(adit_uuid_parse(loose[i], false, &b), i == 3 ? 0 : -EINVAL);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(adit_uuid_parse(bad[i], true, &b), -EINVAL);
	a = adit_uuid_random();
	b = adit_uuid_random();
	assert_memory_not_equal(&a, &b, sizeof(a));
	adit_uuid_format(&a, text);
	assert_int_equal(strlen(text), 36);
	assert_int_equal(text[14], '4');
}

static void
the_reference_is_printed(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	opts_print(f, "listener", "example", rows);
	fclose(f);
	assert_non_null(strstr(text, "listener example\n  flag  (bool)\n      a switch\n"
				     "  port  (int, 1 to 65535, default 80)\n      a port\n"
				     "  ttl | keepalive.ttl | old_ttl  "
				     "(duration, 1s or more, default 10s)\n"));
	assert_non_null(strstr(text, "  chain  (name in chains)\n"));
	assert_non_null(strstr(text, "  mode  (one of slow, fast)\n"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_type_is_filled, setup, teardown),
		cmocka_unit_test_setup_teardown(defaults_stand_where_nothing_is_said, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_first_alias_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(one_text_is_a_list_with_commas, setup, teardown),
		cmocka_unit_test_setup_teardown(all_errors_come_in_one_run, setup, teardown),
		cmocka_unit_test_setup_teardown(ranges_are_told_in_their_unit, setup, teardown),
		cmocka_unit_test_setup_teardown(lenient_passes_over_unknown_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(a_required_key_is_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(single_values_from_text, setup, teardown),
		cmocka_unit_test(uuids_in_all_forms),
		cmocka_unit_test(the_reference_is_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
