/* Routes: which node of which hop is asked for what, over fakes of all plugins. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mux/smux_session.h"
#include "core/service/route.h"
#include "core/service/world.h"
#include "tests/unit/config_text.h"
#include "tests/unit/fakes.h"
#include "tests/unit/loop.h"

struct world {
	struct loop		*loop;
	struct registry		*registry;
	struct config_errors	*errs;
	struct config		*config;
	struct chain		*chain;
	struct adit_err		 e;
};

/* What mtcp is, over a fake. */
static const struct adit_stack pooled = {
	.base = { .abi = ADIT_ABI, .size = sizeof(pooled), .kind = ADIT_STACK, .name = "pooled" },
	.over = "fake",
	.mux = "smux2",
};

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	t->registry = registry_new();
	t->errs = config_errors_new();
	assert_true(t->registry && t->errs);
	fakes_register(t->registry);
	assert_int_equal(registry_add(t->registry, &session_smux2.base, &t->e), 0);
	assert_int_equal(registry_add(t->registry, &pooled.base, &t->e), 0);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct world *t = *state;

	chain_put(t->chain);
	config_put(t->config);
	loop_free(t->loop);
	config_errors_free(t->errs);
	registry_free(t->registry);
	free(t);
	return 0;
}

/* The first chain of the configuration that text describes. */
static void
make(struct world *t, const char *text)
{
	t->config = config_of_text(t->registry, text);
	t->chain = chain_new(&(struct service_world){
		.registry = t->registry, .config = t->config,
	}, 0, t->errs);
	assert_non_null(t->chain);
}

#define FAKE "connector: {type: fake}, dialer: {type: fake"

static const char one_hop[] =
	"chains: [{name: c, hops: [{name: h, nodes: [{name: a, addr: \"a:1\", " FAKE "}}]}]}]\n";

static const char two_hops[] =
	"chains:\n"
	"- name: c\n"
	"  hops:\n"
	"  - name: shared\n"
	"  - nodes: [{name: b, addr: \"b:2\", " FAKE "}}]\n"
	"hops:\n"
	"- {name: other, nodes: [{name: x, addr: \"x:9\", " FAKE "}}]}\n"
	"- {name: shared, nodes: [{name: a, addr: \"a:1\", " FAKE "}}]}\n";

/* Two nodes, the first of which is asked as long as it is well. */
static const char first_choice[] =
	"chains:\n"
	"- name: c\n"
	"  hops:\n"
	"  - selector: {strategy: fifo}\n"
	"    nodes:\n"
	"    - {name: a, addr: \"a:1\", " FAKE "}}\n"
	"    - {name: b, addr: \"b:2\", " FAKE "}}\n";

static void
expect_made(struct world *t, const char *journal)
{
	if (config_errors_count(t->errs))
		fail_msg("%s", config_errors_text(t->errs, 0));
	fakes_expect(journal);
}

static struct adit_conn *
dial(struct world *t, const struct adit_addr *visitor)
{
	const struct adit_target to = { .network = ADIT_TCP, .host = "target", .port = 80 };

	t->e = (struct adit_err)ADIT_ERR_INIT;
	return chain_dial(t->chain, t->loop->worker, &to, visitor, &t->e);
}

/* ---- through hops ------------------------------------------------------ */

static void
a_hop_is_dialed_and_asked(void **state)
{
	struct adit_addr visitor = { .family = 0 };
	struct world *t = *state;
	struct adit_conn *c;

	make(t, one_hop);
	expect_made(t, "init connector a; protocol bound/1; init dialer a");
	assert_string_equal(chain_name(t->chain), "c");
	c = dial(t, NULL);
	assert_ptr_equal(c, fakes_last_conn());
	fakes_expect("dial a a:1 lane 0; connect a target:80");
	adit_conn_close(c, -ECONNRESET);
	fakes_expect("close connected a: Connection reset by peer; "
		     "close dialed a: Connection reset by peer");
	assert_int_equal(adit_addr_parse("192.0.2.1", 5, &visitor), 0);
	c = dial(t, &visitor);
	adit_conn_close(c, 0);
	fakes_expect("dial a a:1 lane 0; connect a target:80 for 192.0.2.1:5; close connected a; "
		     "close dialed a");
}

static void
each_hop_is_reached_through_the_one_before(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	make(t, two_hops);
	expect_made(t, "init connector a; protocol bound/1; init dialer a; "
		       "init connector b; protocol bound/1; init dialer b");
	c = dial(t, NULL);
	assert_non_null(c);
	fakes_expect("dial a a:1 lane 0; connect a b:2; dial b b:2 via lane 0; "
		     "connect b target:80");
	adit_conn_close(c, 0);
	fakes_expect("close connected b; close dialed b; close connected a; close dialed a");
}

static void
what_one_hop_refuses_ends_those_before(void **state)
{
	struct world *t = *state;

	make(t, "chains:\n"
		"- name: c\n"
		"  hops:\n"
		"  - nodes: [{name: a, addr: \"a:1\", " FAKE "}}]\n"
		"  - nodes: [{name: b, addr: \"b:2\", " FAKE ", metadata: {fail: dial}}}]\n");
	fakes_expect("init connector a; protocol bound/1; init dialer a; "
		     "init connector b; protocol bound/1; init dialer b");
	assert_null(dial(t, NULL));
	assert_int_equal(t->e.code, -EHOSTUNREACH);
	assert_string_equal(t->e.text, "node b: no way");
	fakes_expect("dial a a:1 lane 0; connect a b:2; dial b b:2 via lane 0; "
		     "close connected a: No route to host; close dialed a: No route to host");
}

static void
layers_of_a_dialer_come_over_its_conn(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	make(t, "chains: [{name: c, hops: [{nodes: [{name: a, addr: \"a:1\", "
		"connector: {type: fake}, dialer: {type: faked}}]}]}]\n");
	fakes_expect("init connector a; protocol bound/1; init dialer a; init client layer a");
	c = dial(t, NULL);
	adit_conn_close(c, 0);
	fakes_expect("dial a a:1 lane 0; client layer of a; connect a target:80; "
		     "close connected a; close layer a; close dialed a");
}

static void
without_a_chain_it_is_direct(void **state)
{
	const struct adit_target udp = { .network = ADIT_UDP, .host = "127.0.0.1", .port = 9 };
	const struct adit_target nowhere = { .network = ADIT_UNIX, .host = "/dev/null/x" };
	const struct adit_target tcp = { .network = ADIT_TCP, .host = "127.0.0.1", .port = 1 };
	struct world *t = *state;
	struct adit_conn *c;

	c = chain_dial(NULL, t->loop->worker, &udp, NULL, &t->e);
	assert_non_null(c);
	adit_conn_close(c, 0);
	assert_null(chain_dial(NULL, t->loop->worker, &nowhere, NULL, &t->e));
	assert_int_equal(t->e.code, -ENOTDIR);
	c = chain_dial(NULL, t->loop->worker, &tcp, NULL, &t->e);
	assert_non_null(c);
	adit_conn_close(c, 0);
	fakes_expect("");
}

/* ---- which node -------------------------------------------------------- */

static void
a_node_that_cannot_be_dialed_is_left_out(void **state)
{
	struct world *t = *state;

	make(t, "chains:\n"
		"- name: c\n"
		"  hops:\n"
		"  - selector: {strategy: fifo}\n"
		"    nodes:\n"
		"    - {name: a, addr: \"a:1\", " FAKE ", metadata: {fail: dial}}}\n"
		"    - {name: b, addr: \"b:2\", " FAKE "}}\n");
	fakes_expect("init connector a; protocol bound/1; init dialer a; "
		     "init connector b; protocol bound/1; init dialer b");
	assert_null(dial(t, NULL));
	adit_conn_close(dial(t, NULL), 0);
	fakes_expect("dial a a:1 lane 0; dial b b:2 lane 0; connect b target:80; "
		     "close connected b; close dialed b");
}

static void
a_node_that_does_not_open_is_left_out(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	make(t, first_choice);
	fakes_expect("init connector a; protocol bound/1; init dialer a; "
		     "init connector b; protocol bound/1; init dialer b");
	c = dial(t, NULL);
	adit_conn_fail(fakes_lower(c), -ECONNREFUSED);
	adit_conn_close(c, 0);
	adit_conn_close(dial(t, NULL), 0);
	fakes_expect("dial a a:1 lane 0; connect a target:80; close connected a; close dialed a; "
		     "dial b b:2 lane 0; connect b target:80; close connected b; close dialed b");
}

static void
a_node_that_opens_is_well_again(void **state)
{
	struct adit_conn *first, *second;
	struct world *t = *state;

	make(t, first_choice);
	fakes_expect("init connector a; protocol bound/1; init dialer a; "
		     "init connector b; protocol bound/1; init dialer b");
	first = dial(t, NULL);
	second = dial(t, NULL);
	adit_conn_fail(fakes_lower(first), -ECONNREFUSED);
	adit_conn_ready(fakes_lower(second), ADIT_OPEN);
	adit_conn_close(first, 0);
	adit_conn_close(second, 0);
	adit_conn_close(dial(t, NULL), 0);
	assert_int_equal(fakes_count("dial a"), 3);
	assert_int_equal(fakes_count("dial b"), 0);
}

/* Nobody waited for the answer: that says nothing of the node. */
static void
a_node_that_was_given_up_counts_as_well(void **state)
{
	struct world *t = *state;

	make(t, first_choice);
	for (int i = 0; i < 3; i++)
		adit_conn_close(dial(t, NULL), -ETIMEDOUT);
	assert_int_equal(fakes_count("dial a"), 3);
	assert_int_equal(fakes_count("dial b"), 0);
}

/* How the opening ends is reported to a node that must still be there. */
static void
a_chain_lives_until_what_it_dialed_is_open(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	make(t, one_hop);
	c = dial(t, NULL);
	chain_put(t->chain);
	t->chain = NULL;
	fakes_expect("init connector a; protocol bound/1; init dialer a; dial a a:1 lane 0; "
		     "connect a target:80");
	adit_conn_ready(fakes_lower(c), ADIT_OPEN);
	fakes_expect("fini dialer a; fini connector a");
	adit_conn_close(c, 0);
}

/* ---- binding ----------------------------------------------------------- */

static void
the_last_hop_binds(void **state)
{
	const struct adit_target address = {
		.host = "0.0.0.0", .port = 8, .lane = 3, .visitor_address = true,
	};
	struct world *t = *state;

	make(t, two_hops);
	assert_true(chain_binds(t->chain));
	expect_made(t, "init connector a; protocol bound/1; init dialer a; "
		       "init connector b; protocol bound/1; init dialer b");
	assert_null(chain_bind(t->chain, t->loop->worker, &address, &t->e));
	assert_int_equal(t->e.code, -ECONNABORTED);
	fakes_expect("dial a a:1 lane 3; connect a b:2; dial b b:2 via lane 3; "
		     "bind b 0.0.0.0:8 with visitors; "
		     "close dialed b; close connected a; close dialed a");
}

static void
a_connector_that_cannot_bind_is_told_apart(void **state)
{
	const struct adit_target address = { .host = "", .port = 8 };
	struct world *t = *state;

	make(t, "chains: [{name: c, hops: [{nodes: ["
		"{name: a, addr: \"a:1\", connector: {type: fake1}, dialer: {type: fake}}, "
		"{name: b, addr: \"b:2\", " FAKE "}}]}]}]\n");
	assert_false(chain_binds(t->chain));
	expect_made(t, "init connector a; init dialer a; "
		       "init connector b; protocol bound/1; init dialer b");
	assert_null(chain_bind(t->chain, t->loop->worker, &address, &t->e));
	assert_int_equal(t->e.code, -ENOTSUP);
	assert_string_equal(t->e.text, "connector fake1 cannot bind");
	fakes_expect("");
}

static void
what_dialers_keep_is_let_go(void **state)
{
	struct world *t = *state;

	make(t, two_hops);
	fakes_expect("init connector a; protocol bound/1; init dialer a; "
		     "init connector b; protocol bound/1; init dialer b");
	chain_stop(t->chain, t->loop->worker);
	fakes_expect("stop dialer a; stop dialer b");
}

/* Two hops, so that what is refused has something below it; whose sessions are smux's. */
static void
a_stopped_chain_makes_no_session_anew(void **state)
{
	struct world *t = *state;
	struct adit_conn *c;

	make(t, "chains:\n"
		"- name: c\n"
		"  hops:\n"
		"  - nodes: [{name: a, addr: \"a:1\", " FAKE "}}]\n"
		"  - nodes: [{name: b, addr: \"b:2\", connector: {type: fake}, "
		"dialer: {type: pooled}}]\n");
	fakes_expect("init connector a; protocol bound/1; init dialer a; "
		     "init connector b; protocol bound/1; init dialer b");
	c = dial(t, NULL);
	assert_non_null(c);
	fakes_expect("dial a a:1 lane 0; connect a b:2; dial b b:2 via lane 0; "
		     "connect b target:80");
	chain_stop(t->chain, t->loop->worker);
	assert_int_equal(fakes_count("stop dialer"), 2);
	adit_conn_close(c, 0);
	loop_turn(t->loop, 2);
	assert_null(dial(t, NULL));
	assert_int_equal(t->e.code, ADIT_EDRAINING);
	assert_int_equal(fakes_count("dial b"), 0);
	assert_int_equal(fakes_count("close connected a: "), 1);
}

/* ---- what is wrong ----------------------------------------------------- */

static void
all_that_is_wrong_is_said_in_its_place(void **state)
{
	static const char text[] =
		"chains:\n"
		"- name: c\n"
		"  hops:\n"
		"  - name: shared\n"
		"  - interface: r\n"
		"    nodes:\n"
		"    - addr: a:1\n"
		"      connector: {type: fake1, metadata: {fail: init}}\n"
		"      dialer: {type: fake, metadata: {fail: init, file: /x}}\n"
		"    - addr: b:2\n"
		"      probe: {type: tcp}\n"
		"      connector: {type: fake}\n"
		"      dialer: {type: fake, auth: {file: /dev/null/users}}\n"
		"  - redis: {addr: x}\n"
		"hops:\n"
		"- name: other\n"
		"  nodes: {addr: c:3, connector: {type: http}, dialer: {type: tls}}\n"
		"- name: shared\n"
		"  nodes:\n"
		"  - addr: d:4\n"
		"    netns: x\n"
		"    connector: {type: fake}\n"
		"    dialer: {type: faked, metadata: {layerFail: init}}\n"
		"resolvers: [{name: r}]\n";
	static const char *const wrong[] = {
		"stdin:5:16: chains[0].hops[1].interface: interface is not available in this build",
		"stdin:8:18: chains[0].hops[1].nodes[0].connector: connector will not",
		("stdin:9:57: chains[0].hops[1].nodes[0].dialer.metadata: file: /x is missing\n"
		 "    9 |       dialer: {type: fake, metadata: {fail: init, file: /x}}\n"
		 "      |                                                         ^"),
		("stdin:11:14: chains[0].hops[1].nodes[1].probe: probe is not available in this "
		 "build"),
		("stdin:13:41: chains[0].hops[1].nodes[1].dialer: /dev/null/users: Not a "
		 "directory"),
		"stdin:14:12: chains[0].hops[2].redis: redis is not available in this build",
		"stdin:21:12: hops[1].nodes[0].netns: netns is not available in this build",
		"stdin:23:13: hops[1].nodes[0].dialer: client layer will not",
	};
	struct world *t = *state;

	t->config = config_of_text(t->registry, text);
	t->chain = chain_new(&(struct service_world){
		.registry = t->registry, .config = t->config,
	}, 0, t->errs);
	config_errors_expect(t->errs, wrong, sizeof(wrong) / sizeof(*wrong));
	/* It may be named, and asked what it is for, as a service does in the same run. */
	assert_string_equal(chain_name(t->chain), "c");
	assert_true(chain_binds(t->chain));
}

static void
a_chain_has_1_to_16_hops(void **state)
{
	static const char *const wrong[] = {
		"stdin:1:10: chains[0]: a chain needs 1 to 16 hops",
	};
	struct world *t = *state;
	struct chain_conf *conf;

	t->config = config_of_text(t->registry, one_hop);
	conf = &t->config->chains.v[0];
	conf->hops.n = 0;
	t->chain = chain_new(&(struct service_world){
		.registry = t->registry, .config = t->config,
	}, 0, t->errs);
	config_errors_expect(t->errs, wrong, 1);
	assert_true(chain_binds(t->chain));
	conf->hops.n = 1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hop_is_dialed_and_asked),
		TEST(each_hop_is_reached_through_the_one_before),
		TEST(what_one_hop_refuses_ends_those_before),
		TEST(layers_of_a_dialer_come_over_its_conn),
		TEST(without_a_chain_it_is_direct),
		TEST(a_node_that_cannot_be_dialed_is_left_out),
		TEST(a_node_that_does_not_open_is_left_out),
		TEST(a_node_that_opens_is_well_again),
		TEST(a_node_that_was_given_up_counts_as_well),
		TEST(a_chain_lives_until_what_it_dialed_is_open),
		TEST(the_last_hop_binds),
		TEST(a_connector_that_cannot_bind_is_told_apart),
		TEST(what_dialers_keep_is_let_go),
		TEST(a_stopped_chain_makes_no_session_anew),
		TEST(all_that_is_wrong_is_said_in_its_place),
		TEST(a_chain_has_1_to_16_hops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
