/* URLs beyond gost's recorded ones: what is refused, where, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config/source.h"
#include "core/config/url.h"
#include "core/config/url_split.h"

struct parsing {
	struct arena		*arena;
	struct config_errors	*errs;
	const struct adit_tree	*root;
};

static int
setup(void **state)
{
	struct parsing *p = calloc(1, sizeof(*p));

	p->arena = arena_new();
	p->errs = config_errors_new();
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct parsing *p = *state;

	arena_free(p->arena);
	config_errors_free(p->errs);
	free(p);
	return 0;
}

static const char *
no_environment(const char *name)
{
	(void)name;
	return NULL;
}

/* The root if nothing is wrong with it. */
static const struct adit_tree *
load(struct parsing *p, struct config_args args)
{
	if (!args.env)
		args.env = no_environment;
	config_errors_free(p->errs);
	p->errs = config_errors_new();
	p->root = source_load(p->arena, &args, NULL, p->errs);
	assert_non_null(p->root);
	if (config_errors_hard(p->errs))
		p->root = NULL;
	return p->root;
}

static const struct adit_tree *
load_service(struct parsing *p, const char *url)
{
	load(p, (struct config_args){ .services = &url, .n_services = 1 });
	return tree_item(tree_get(p->root, "services"), 0);
}

static const struct adit_tree *
load_node(struct parsing *p, const char *url)
{
	static const char *const service = ":1";
	const struct adit_tree *chain;

	load(p, (struct config_args){
			.services = &service, .n_services = 1, .nodes = &url, .n_nodes = 1 });
	chain = tree_item(tree_get(p->root, "chains"), 0);
	return tree_item(tree_get(chain, "hops"), 0);
}

/* The first line of the only error. */
static void
assert_refused(struct parsing *p, const char *expected)
{
	const char *text = config_errors_text(p->errs, 0);
	char line[500];

	if (!text)
		fail_msg("nothing refused, expected: %s", expected);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
	assert_string_equal(line, expected);
	assert_int_equal(config_errors_count(p->errs), 1);
	assert_null(p->root);
}

/* Follows a path like "handler.metadata.x"; "" is the node itself. */
static const char *
text_at(const struct adit_tree *node, const char *path)
{
	char part[100];
	size_t len;

	while (*path) {
		len = strcspn(path, "/");
		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		node = tree_type(node) == TREE_LIST ? tree_item(node, strtoul(part, NULL, 10)) :
						      tree_get(node, part);
		path += path[len] ? len + 1 : len;
	}
	return node ? tree_text(node) : NULL;
}

static void
bad_services_are_refused(void **state)
{
	static const struct {
		const char	*url, *why;
	} cases[] = {
		{ "tcp://:99999",
		  "-L \"tcp://:99999\":8: bad port \"99999\", expected 0 to 65535 or a range" },
		{ "tcp://:abc",
		  "-L \"tcp://:abc\":8: bad port \"abc\", expected 0 to 65535 or a range" },
		{ "tcp://:", "-L \"tcp://:\":8: no port after \":\"" },
		{ "tcp://:1-2-3",
		  "-L \"tcp://:1-2-3\":8: bad port \"1-2-3\", expected 0 to 65535 or a range" },
		{ "tcp://:-1",
		  "-L \"tcp://:-1\":8: bad port \"-1\", expected 0 to 65535 or a range" },
		{ "tcp://:9-1", "-L \"tcp://:9-1\":8: port range 9-1 runs backwards" },
		{ "tcp://:1/a:70000",
		  "-L \"tcp://:1/a:70000\":12: bad port \"70000\", expected 0 to 65535 or a "
		  "range" },
		{ "ht tp://:1", "-L \"ht tp://:1\":3: \" \" cannot stand in a scheme" },
		{ "1tp://:1", "-L \"1tp://:1\":1: a scheme begins with a letter" },
		{ "tcp://:1?a=%zz", "-L \"tcp://:1?a=%zz\":12: bad escape in a parameter" },
		{ "tcp://:1/a%zz:1", "-L \"tcp://:1/a%zz:1\":11: bad escape in the path" },
		{ "tcp://a%20b:1", "-L \"tcp://a%20b:1\":8: an escape in the host" },
		{ "tcp://:1?a=1;b=2",
		  "-L \"tcp://:1?a=1;b=2\":10: \";\" in a parameter, write %3B or \"&\"" },
		{ "tcp://:1?=2", "-L \"tcp://:1?=2\":10: parameter without a name" },
		{ "tcp://:1\x01", "-L \"tcp://:1?\":9: control character in a URL" },
		{ "tcp://a%z@:1", "-L \"tcp://***@:1\":8: bad escape in the user part" },
		{ "tcp://:1?auth=:",
		  "-L \"tcp://:1?auth=*\":15: auth is not the base64 of user:password" },
		{ "tcp://:1?retries=x",
		  "-L \"tcp://:1?retries=x\":18: expected a whole number, not \"x\"" },
		{ "tcp://:1/a?maxFails=x",
		  "-L \"tcp://:1/a?maxFails=x\":21: expected a whole number, not \"x\"" },
		{ "tcp://:1/a?failTimeout=x",
		  "-L \"tcp://:1/a?failTimeout=x\":24: expected a duration like \"30s\", not "
		  "\"x\"" },
		{ "tcp://:1?climiter=x",
		  "-L \"tcp://:1?climiter=x\":19: expected a whole number, not \"x\"" },
		{ "tcp://:1?rlimiter=0x1",
		  "-L \"tcp://:1?rlimiter=0x1\":19: expected a number, not \"0x1\"" },
		{ "tcp://:1?hosts=a", "-L \"tcp://:1?hosts=a\":16: expected name:ip, not \"a\"" },
		{ "tcp://:1?so_mark=x",
		  "-L \"tcp://:1?so_mark=x\":18: expected a whole number, not \"x\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_null(load_service(*state, cases[i].url));
		assert_refused(*state, cases[i].why);
	}
}

static void
bad_nodes_are_refused(void **state)
{
	static const struct {
		const char	*url, *why;
	} cases[] = {
		{ "", "-F \"\":1: a node is missing" },
		{ "http://h:x", "-F \"http://h:x\":10: bad port \"x\", expected 0 to 65535" },
		{ "http://h:65536",
		  "-F \"http://h:65536\":10: bad port \"65536\", expected 0 to 65535" },
		{ "http://a:1,b:x",
		  "-F \"http://a:1,b:x\":14: bad port \"x\", expected 0 to 65535" },
		{ "http://a b:1",
		  "-F \"http://a b:1\":9: expected an address like \"host:443\", not \"a b:1\"" },
		{ "http://%zz:1", "-F \"http://%zz:1\":8: an escape in the host" },
		{ "http://[::1%]:1", "-F \"http://[::1%]:1\":8: bad IPv6 address in \"[::1%]:1\"" },
		{ "http://[::1:1", "-F \"http://[::1:1\":8: bad IPv6 address in \"[::1:1\"" },
		{ "http://h:1?secure=yes",
		  "-F \"http://h:1?secure=yes\":19: expected true or false, not \"yes\"" },
		{ "socks5://u:pw@h:1?auth=@",
		  "-F \"socks5://u:**@h:1?auth=*\":24: auth is not the base64 of user:password" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_null(load_node(*state, cases[i].url));
		assert_refused(*state, cases[i].why);
	}
}

static void
the_whole_message(void **state)
{
	struct parsing *p = *state;

	load_service(p, "tcp://:80x");
	assert_string_equal(config_errors_text(p->errs, 0),
			    "-L \"tcp://:80x\":8: bad port \"80x\", expected 0 to 65535 or a "
			    "range\n"
			    "      | tcp://:80x\n"
			    "      |        ^");
}

static void
what_gost_takes_forbids_to_start_only(void **state)
{
	static const struct {
		const char	*url, *why;
	} cases[] = {
		{ "tcpp://:1", "unknown scheme \"tcpp\", did you mean \"tcp\"?" },
		{ "http+qiuc://:1", "unknown listener \"qiuc\", did you mean \"quic\"?" },
		{ "tunel+tls://:1", "unknown handler \"tunel\", did you mean \"tunnel\"?" },
		{ "a+b+c://:1", "unknown scheme \"a+b+c\"" },
	};
	struct parsing *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_non_null(load_service(p, cases[i].url));
		assert_int_equal(config_errors_hard(p->errs), 0);
		assert_int_equal(config_errors_count(p->errs), 1);
		assert_non_null(strstr(config_errors_text(p->errs, 0), cases[i].why));
	}
	assert_non_null(load_service(p, "tcp://:1?k=1&l=2&K=1"));
	assert_int_equal(config_errors_hard(p->errs), 0);
	assert_int_equal(config_errors_count(p->errs), 1);
	assert_non_null(strstr(config_errors_text(p->errs, 0),
			       "\":18: parameter \"K\" stands here twice\n"));
	assert_non_null(load_service(p, "tls://:1?ca=c&key=k"));
	assert_int_equal(config_errors_hard(p->errs), 0);
	assert_int_equal(config_errors_count(p->errs), 2);
	assert_non_null(strstr(config_errors_text(p->errs, 0), "\":13: caFile without a cert"));
	assert_non_null(strstr(config_errors_text(p->errs, 1), "\":19: keyFile without a cert"));
	assert_non_null(load_node(p, "tunnel+tsl://h:1"));
	assert_non_null(
		strstr(config_errors_text(p->errs, 0), "unknown dialer \"tsl\", did you mean"));
	assert_non_null(load_node(p, "h:1"));
	assert_int_equal(config_errors_count(p->errs), 0);
}

static void
services_beyond_the_record(void **state)
{
	static const struct {
		const char	*url, *path, *text;
	} cases[] = {
		{ " tcp://:0080 ", "addr", ":80" },
		{ "tcp://a:b:1", "addr", "a:b:1" },
		{ "ssu://:1", "listener/type", "udp" },
		{ "stdio://1.2.3.4:5", "forwarder/nodes/0/addr", "1.2.3.4:5" },
		{ "stdio://1.2.3.4:5", "handler/type", "tcp" },
		{ "tcp://:1/a:1,,b:2", "forwarder/nodes/2/name", "target-2" },
		{ "tcp://:1?k=1&k=2", "metadata/k", "1" },
		{ "tcp://:1?k=1&handler.k=2", "handler/metadata/k", "2" },
		{ "tcp://:1?handler.k=2&k=1", "handler/metadata/k", "2" },
		{ "tcp://:1?handler.k=2&k=1", "listener/metadata/k", "1" },
		{ "tcp://:1?a+b=c%2Bd+e", "metadata/a b", "c+d e" },
		{ "tcp://:1?a=1#b", "metadata/a", "1" },
		{ "tcp://:1?tls.cert=x&cert=y", "listener/tls/certFile", "x" },
		{ "tcp://:1?key=y", "listener/tls", NULL },
		{ "tcp://:1?key=y", "metadata/key", NULL },
		{ "tcp://u%3A:p%40@:1", "handler/auth/username", "u:" },
		{ "tcp://u%3A:p%40@:1", "handler/auth/password", "p@" },
		{ "tcp://u@:1?auth=YTpi", "handler/auth/username", "u" },
		{ "tcp://:1?auth=YTo_Pw", "handler/auth/password", "?\?" },
		{ "sshd://user@:1", "listener/auth/username", "user" },
		{ "tcp://:1?proxyProtocol=0", "handler/metadata/proxyProtocol", "0" },
		{ "tcp://:1?Bypass=x", "bypass", "bypass-0" },
		{ "tcp://:1?Bypass=x", "handler/metadata/bypass", "x" },
		{ "tcp://:1?limiter.out=1MB", "limiter", "limiter-0" },
		{ "unix://a/b", "addr", "a" },
		{ "unix://a/b", "forwarder/nodes/0/addr", "b" },
		{ "unix://a/b?target=c:1", "metadata/target", "c:1" },
		{ "unix:///a/b?target=c:1,d:2&k=v", "addr", "/a/b" },
		{ "unix:///a/b?target=c:1,d:2&k=v", "forwarder/nodes/0/addr", "c:1" },
		{ "unix:///a/b?target=c:1,d:2&k=v", "forwarder/nodes/1/addr", "d:2" },
		{ "unix:///a/b?target=c:1,d:2&k=v", "handler/type", "unix" },
		{ "unix:///a/b?target=c:1,d:2&k=v", "metadata/target", NULL },
		{ "unix:///a/b?target=c:1,d:2&k=v", "metadata/k", "v" },
		{ "unix:///a/b", "forwarder", NULL },
		{ "https://:1", "listener/type", "tls" },
	};
	struct parsing *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct adit_tree *service = load_service(p, cases[i].url);
		const char *text = text_at(service, cases[i].path);

		assert_non_null(service);
		if (!cases[i].text)
			assert_null(text);
		else if (!text || strcmp(text, cases[i].text) != 0)
			fail_msg("%s: %s is %s", cases[i].url, cases[i].path,
				 text ? text : "absent");
	}
	load_service(p, "tcp://:1?limiter.out=1MB");
	assert_string_equal(text_at(p->root, "limiters/0/limits/0"), "$  1MB");
	load_service(p, "tcp://:1-3/a:1-2");
	assert_string_equal(text_at(p->root, "services/1/forwarder/nodes/0/addr"), "a:2");
	assert_null(text_at(p->root, "services/2/forwarder"));
}

static void
nodes_beyond_the_record(void **state)
{
	static const struct {
		const char	*url, *path, *text;
	} cases[] = {
		{ "http://a:1,,b:2", "nodes/1/addr", "b:2" },
		{ "tls://a:1,b:2", "nodes/0/dialer/tls/serverName", "a" },
		{ "tls://a:1,b:2", "nodes/1/dialer/tls/serverName", "b" },
		{ "tls://a:1?servername=x", "nodes/0/dialer/tls/serverName", "x" },
		{ "tls://a:1?servername=x", "nodes/0/metadata/servername", "x" },
		{ "tls://:1?keyFile=k", "nodes/0/dialer/tls", NULL },
		{ "direct://", "nodes", NULL },
		{ "ssu://a:1", "nodes/0/dialer/type", "udp" },
		{ "http://a:1?interface=e&hop.interface=f", "metadata/interface", "e" },
		{ "http://a:1?so_mark=0", "nodes/0/metadata/so_mark", "0" },
		{ "http://a:1?so_mark=7", "nodes/0/metadata", NULL },
		{ "http://a:1/path#x", "nodes/0/addr", "a:1" },
		{ "http://[fe80::1%25lo]:1,[::2]:1", "nodes/0/addr", "[fe80::1%lo]:1" },
		{ "http://[fe80::1%lo]:1", "nodes/0/addr", "[fe80::1%lo]:1" },
	};
	struct parsing *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct adit_tree *hop = load_node(p, cases[i].url);
		const char *text = text_at(hop, cases[i].path);

		assert_non_null(hop);
		if (!cases[i].text)
			assert_null(text);
		else if (!text || strcmp(text, cases[i].text) != 0)
			fail_msg("%s: %s is %s", cases[i].url, cases[i].path,
				 text ? text : "absent");
	}
}

static const char *
partner(void *arg, enum adit_kind kind, const char *name)
{
	(void)arg;
	(void)kind;
	return strcmp(name, "reverst") == 0 ? "quic" : NULL;
}

static const struct adit_opt *
rows_of(void *arg, enum adit_kind kind, const char *name, bool *known)
{
	(void)arg;
	*known = (kind == ADIT_HANDLER || kind == ADIT_CONNECTOR) && strcmp(name, "reverst") == 0;
	return NULL;
}

static void
registered_names_are_schemes(void **state)
{
	static const char *const service = "reverst://:1", *const node = "reverst://h:1";
	const struct config_kinds kinds = { .opts = rows_of, .partner = partner };
	struct config_args args = { .services = &service,
				    .n_services = 1,
				    .nodes = &node,
				    .n_nodes = 1,
				    .env = no_environment };
	struct parsing *p = *state;
	const struct adit_tree *root = source_load(p->arena, &args, &kinds, p->errs);

	assert_non_null(root);
	assert_int_equal(config_errors_count(p->errs), 0);
	assert_string_equal(text_at(root, "services/0/handler/type"), "reverst");
	assert_string_equal(text_at(root, "services/0/listener/type"), "quic");
	assert_string_equal(text_at(root, "chains/0/hops/0/nodes/0/dialer/type"), "quic");
}

static void
endpoints_are_checked(void **state)
{
	struct parsing *p = *state;

	assert_null(load(p, (struct config_args){ .api = ":1?pathPrefx=/a" }));
	assert_refused(
		p, "-api \":1?pathPrefx=/a\":4: unknown parameter, did you mean \"pathPrefix\"?");
	assert_null(load(p, (struct config_args){ .api = ":1/x" }));
	assert_refused(p, "-api \":1/x\":3: a path cannot stand here");
	assert_null(load(p, (struct config_args){ .api = "" }));
	assert_refused(p, "-api \"\":1: an address is missing");
	assert_non_null(load(p, (struct config_args){ .api = "unix:///run/x" }));
	assert_string_equal(text_at(p->root, "api/addr"), "unix:///run/x");
}

static const char *
some_environment(const char *name)
{
	if (strcmp(name, "GOST_LOGGER_LEVEL") == 0)
		return "warn";
	if (strcmp(name, "GOST_API") == 0)
		return ":2";
	return strcmp(name, "GOST_METRICS") == 0 ? ":3" : NULL;
}

static void
flags_win_over_environment_over_files(void **state)
{
	static const char *const file =
		"{\"log\": {\"level\": \"info\", \"format\": \"text\"}, \"api\": "
		"{\"addr\": \":1\", \"pathPrefix\": \"/x\"}}";
	struct parsing *p = *state;

	assert_non_null(load(
		p,
		(struct config_args){ .sources = &file, .n_sources = 1, .env = some_environment }));
	assert_string_equal(text_at(p->root, "log/level"), "warn");
	assert_string_equal(text_at(p->root, "log/format"), "text");
	assert_string_equal(text_at(p->root, "api/addr"), ":2");
	assert_string_equal(text_at(p->root, "api/pathPrefix"), "/x");
	assert_string_equal(text_at(p->root, "metrics/addr"), ":3");
	assert_non_null(load(p, (struct config_args){ .sources = &file, .n_sources = 1,
						      .env = some_environment, .api = ":4",
						      .debug = true }));
	assert_string_equal(text_at(p->root, "log/level"), "debug");
	assert_string_equal(text_at(p->root, "api/addr"), ":4");
	assert_null(text_at(p->root, "api/pathPrefix"));
}

static void
later_sources_append_and_replace(void **state)
{
	static const char *const files[] = {
		("{\"services\": [{\"name\": \"a\"}], \"log\": {\"level\": \"info\", \"format\": "
		 "\"text\"}}"),
		"{\"Services\": {\"name\": \"b\"}, \"log.level\": \"warn\", \"hops\": null}",
		"-",
	};
	static const char input[] = "services:\n- name: c\nhops: [{name: h}]\n";
	struct parsing *p = *state;

	assert_non_null(load(p, (struct config_args){ .sources = files,
						      .n_sources = 3,
						      .input = input,
						      .input_len = strlen(input) }));
	assert_string_equal(text_at(p->root, "services/0/name"), "a");
	assert_string_equal(text_at(p->root, "services/1/name"), "b");
	assert_string_equal(text_at(p->root, "services/2/name"), "c");
	assert_string_equal(text_at(p->root, "hops/0/name"), "h");
	assert_string_equal(text_at(p->root, "log/level"), "warn");
	assert_null(text_at(p->root, "log/format"));
}

static void
bad_sources_are_told_together(void **state)
{
	static const char *const files[] = {
		"/nonexistent/a.yaml", "b.toml", "/dev/null", "https://x/y.yaml", "{\"a\": }}",
		"{}[]{}",
	};
	static const char *const expected[] = {
		"open /nonexistent/a.yaml: No such file or directory",
		"open b.toml: No such file or directory",
		("/dev/null: unknown configuration format \"\", expected .yaml, .yml or .json"),
		("-C https://x/y.yaml: a configuration from a web server is not available in "
		 "this build"),
		"-C {...}:1:8: did not find expected <document start>",
	};
	struct parsing *p = *state;

	assert_null(load(p, (struct config_args){ .sources = files, .n_sources = 5 }));
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		const char *text = config_errors_text(p->errs, i);

		assert_non_null(text);
		assert_memory_equal(text, expected[i], strlen(expected[i]));
	}
	assert_null(load(p, (struct config_args){ .sources = files + 5, .n_sources = 1 }));
}

static const char *test_home;

static const char *
home_environment(const char *name)
{
	return strcmp(name, "HOME") == 0 ? test_home : NULL;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void
the_default_file_is_searched(void **state)
{
	static const char *const service = ":1";
	char folder[] = "/tmp/adit-url-test-XXXXXX", path[100], sub[100];
	struct parsing *p = *state;

	assert_non_null(mkdtemp(folder));
	test_home = folder;
	assert_null(load(p, (struct config_args){ .env = home_environment }));
	assert_non_null(strstr(config_errors_text(p->errs, 0), "nothing to do: no -L, -C or -api"));

	snprintf(sub, sizeof(sub), "%s/.gost", folder);
	assert_int_equal(mkdir(sub, 0700), 0);
	snprintf(path, sizeof(path), "%s/gost.yml", sub);
	write_file(path, "services: [{name: found}]\n");
	assert_non_null(load(p, (struct config_args){ .env = home_environment, .debug = true }));
	assert_string_equal(text_at(p->root, "services/0/name"), "found");
	assert_non_null(load(p, (struct config_args){ .env = home_environment, .services = &service,
						      .n_services = 1 }));
	assert_string_equal(text_at(p->root, "services/0/name"), "service-0");
	assert_non_null(load(p, (struct config_args){ .env = home_environment, .api = ":1" }));
	assert_null(text_at(p->root, "services/0/name"));
	unlink(path);
	rmdir(sub);
	rmdir(folder);
}

static void
large_ranges_stay_small(void **state)
{
	struct parsing *p = *state;

	assert_non_null(load_service(p, "tcp://:1-65535/a:1-65535"));
	assert_int_equal(tree_len(tree_get(p->root, "services")), 65535);
	assert_string_equal(text_at(p->root, "services/65534/forwarder/nodes/0/addr"), "a:65535");
	assert_null(load_service(p, "tcp://:1/a:1-65535,b:1-65535"));
	assert_refused(p, "-L \"tcp://:1/a:1-65535,b:1-65535\":20: more than 65536 addresses");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bad_services_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_nodes_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_whole_message, setup, teardown),
		cmocka_unit_test_setup_teardown(what_gost_takes_forbids_to_start_only, setup,
						teardown),
		cmocka_unit_test_setup_teardown(services_beyond_the_record, setup, teardown),
		cmocka_unit_test_setup_teardown(nodes_beyond_the_record, setup, teardown),
		cmocka_unit_test_setup_teardown(registered_names_are_schemes, setup, teardown),
		cmocka_unit_test_setup_teardown(endpoints_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(flags_win_over_environment_over_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(later_sources_append_and_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_sources_are_told_together, setup, teardown),
		cmocka_unit_test_setup_teardown(the_default_file_is_searched, setup, teardown),
		cmocka_unit_test_setup_teardown(large_ranges_stay_small, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
