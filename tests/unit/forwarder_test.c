#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/service/forwarder.h"
#include "core/service/target.h"
#include "core/service/world.h"
#include "tests/unit/config_text.h"
#include "tests/unit/loop.h"

static const struct service_world no_world;

/* A visitor that asked for host; its other end is closed with it. */
static struct adit_conn *
visitor_of(struct loop *l, const char *host)
{
	struct adit_conn *c, *other;

	assert_int_equal(adit_conn_pair(l->worker, l->worker, 64, &c, &other), 0);
	assert_int_equal(adit_conn_set_asked(c, host, 0), 0);
	adit_conn_close(other, 0);
	return c;
}

static struct forwarder
forwarder_of(const struct forwarder_conf *conf)
{
	const struct place nowhere = { .node = NULL };
	struct forwarder f = { .conf = NULL };

	assert_int_equal(forwarder_init(&f, conf, &no_world, &nowhere), 0);
	return f;
}

static struct node_state *
pick(struct forwarder *f, const struct adit_conn *visitor, unsigned attempt,
     struct forward_target *out, struct adit_err *e)
{
	const struct route_request req = target_request(visitor);
	const struct adit_tried tried = { .n = attempt };

	return forwarder_pick(f, &req, &tried, out, e) == 0 ? &out->node->state : NULL;
}

static void
without_nodes_nothing_is_picked(void **state)
{
	struct adit_conn *c = visitor_of(*state, "any");
	struct forwarder f = forwarder_of(NULL);
	struct adit_err e = ADIT_ERR_INIT;
	struct forward_target to;

	assert_null(pick(&f, c, 0, &to, &e));
	assert_int_equal(e.code, ADIT_ENOROUTE);
	forwarder_fini(&f);
	adit_conn_close(c, 0);
}

static void
each_node_is_tried_once(void **state)
{
	struct node_conf nodes[] = {
		{ .name = "a", .addr = "127.0.0.1:1" },
		{ .name = "b", .addr = "[::1]:2" },
	};
	const struct forwarder_conf conf = { .nodes = { .n = 2, .v = nodes } };
	struct adit_conn *c = visitor_of(*state, "any");
	struct forwarder f = forwarder_of(&conf);
	struct adit_err e = ADIT_ERR_INIT;
	unsigned ports = 0;

	for (unsigned attempt = 0; attempt < 2; attempt++) {
		struct forward_target to;
		struct node_state *s = pick(&f, c, attempt, &to, &e);

		assert_non_null(s);
		assert_int_equal(to.target.network, ADIT_TCP);
		assert_string_equal(to.target.host, to.target.port == 1 ? "127.0.0.1" : "::1");
		ports |= 1u << to.target.port;
		node_state_report(s, -ECONNREFUSED, adit_now());
	}
	assert_int_equal(ports, 1u << 1 | 1u << 2);
	assert_null(pick(&f, c, 2, &(struct forward_target){ .host = "" }, &e));
	assert_int_equal(e.code, ADIT_ENOROUTE);
	forwarder_fini(&f);
	adit_conn_close(c, 0);
}

/* Also where one failure marks none; and what is less precise does not stand in for it. */
static void
what_was_tried_is_not_picked(void **state)
{
	struct filter_conf filter = { .host = "any" };
	struct selector_conf fifo = {
		.strategy = SELECT_FIFO, .max_fails = 3, .fail_timeout = (int64_t)ADIT_SECONDS(10),
	};
	struct node_conf nodes[] = {
		{ .name = "a", .addr = "127.0.0.1:1", .filter = &filter },
		{ .name = "b", .addr = "127.0.0.1:2", .filter = &filter },
		{ .name = "rest", .addr = "127.0.0.1:3" },
	};
	const struct forwarder_conf conf = {
		.selector = &fifo, .nodes = { .n = 3, .v = nodes },
	};
	struct adit_conn *c = visitor_of(*state, "any");
	const struct route_request req = target_request(c);
	struct forwarder f = forwarder_of(&conf);
	struct adit_tried tried = { .n = 0 };
	struct adit_err e = ADIT_ERR_INIT;
	struct forward_target to;

	for (uint16_t port = 1; port <= 2; port++) {
		assert_int_equal(forwarder_pick(&f, &req, &tried, &to, &e), 0);
		assert_int_equal(to.target.port, port);
		node_state_report(&to.node->state, -ECONNREFUSED, adit_now());
		forwarder_tried(&f, to.node, &tried);
	}
	assert_int_equal(forwarder_pick(&f, &req, &tried, &to, &e), ADIT_ENOROUTE);
	forwarder_fini(&f);
	adit_conn_close(c, 0);
}

static void
a_node_is_for_the_host_it_names(void **state)
{
	struct filter_conf filter = { .host = ".example" };
	struct node_conf nodes[] = {
		{ .name = "rest", .addr = "127.0.0.1:1" },
		{ .name = "example", .addr = "127.0.0.1:2", .filter = &filter },
	};
	const struct forwarder_conf conf = { .nodes = { .n = 2, .v = nodes } };
	struct forwarder f = forwarder_of(&conf);
	struct adit_conn *one = visitor_of(*state, "a.example"), *other = visitor_of(*state, "b");
	struct adit_err e = ADIT_ERR_INIT;
	struct forward_target to;

	for (int i = 0; i < 4; i++) {
		assert_non_null(pick(&f, one, 0, &to, &e));
		assert_int_equal(to.target.port, 2);
		assert_non_null(pick(&f, other, 0, &to, &e));
		assert_int_equal(to.target.port, 1);
	}
	forwarder_fini(&f);
	adit_conn_close(one, 0);
	adit_conn_close(other, 0);
}

static void
a_node_may_be_a_path(void **state)
{
	struct node_conf node = { .name = "a", .addr = "/run/site", .network = "unix" };
	const struct forwarder_conf conf = { .nodes = { .n = 1, .v = &node } };
	struct adit_conn *c = visitor_of(*state, "any");
	struct forwarder f = forwarder_of(&conf);
	struct adit_err e = ADIT_ERR_INIT;
	struct forward_target to;

	assert_non_null(pick(&f, c, 0, &to, &e));
	assert_int_equal(to.target.network, ADIT_UNIX);
	assert_string_equal(to.target.host, "/run/site");

	node.network = NULL;
	node.addr = "[::1";
	assert_null(pick(&f, c, 0, &to, &e));
	assert_int_equal(e.code, ADIT_ECONFIG);
	assert_string_equal(e.text, "node a: not host:port: [::1");
	forwarder_fini(&f);
	adit_conn_close(c, 0);
}

static void
what_is_not_there_is_refused(void **state)
{
	static const char text[] =
		"services:\n"
		"- name: s\n"
		"  addr: :1\n"
		"  handler: {type: tcp}\n"
		"  forwarder:\n"
		"    hopGroup: {hops: [{hop: h}]}\n"
		"    nodes:\n"
		"    - {addr: \"h:1\", http: {rewriteBody: [{match: x}]}}\n"
		"    - {addr: \"h:2\", probe: {type: cmd}, bypasses: []}\n"
		"hops: [{name: h, nodes: [{addr: \"h:1\"}]}]\n";
	static const char *const wrong[] = {
		"stdin:6:15: forwarder.hopGroup: hopGroup is not available in this build\n"
		"    6 |     hopGroup: {hops: [{hop: h}]}\n"
		"      |               ^",
		("stdin:8:41: forwarder.nodes[0].http.rewriteBody: rewriteBody is not available "
		 "in this build"),
		("stdin:9:35: forwarder.nodes[1].probe: type: cmd is not available in this "
		 "build"),
	};
	const struct tree_path path = { .key = "forwarder" };
	struct config *config = config_of_text(NULL, text);
	const struct forwarder_conf *conf = config->services.v[0].forwarder;
	const struct place at = {
		.node = conf->node, .path = &path, .errs = config_errors_new(),
	};
	struct forwarder f = { .conf = NULL };

	(void)state;
	assert_int_equal(forwarder_init(&f, conf, &no_world, &at), ADIT_EUNSUPPORTED);
	config_errors_expect(at.errs, wrong, sizeof(wrong) / sizeof(*wrong));
	forwarder_fini(&f);
	config_errors_free(at.errs);
	config_put(config);
}

static void
too_many_nodes_are_refused(void **state)
{
	struct node_conf nodes[SELECTOR_MAX + 1] = { { .name = "a", .addr = "h:1" } };
	struct forwarder_conf conf = { .nodes = { .n = SELECTOR_MAX + 1, .v = nodes } };
	static const char *const wrong[] = { "nodes: more than 256" };
	const struct place at = { .errs = config_errors_new() };
	struct forwarder f = { .conf = NULL };

	(void)state;
	assert_int_equal(forwarder_init(&f, &conf, &no_world, &at), ADIT_ECONFIG);
	config_errors_expect(at.errs, wrong, 1);
	forwarder_fini(&f);
	conf.nodes.n = SELECTOR_MAX;
	assert_int_equal(forwarder_init(&f, &conf, &no_world, &at), 0);
	forwarder_fini(&f);
	config_errors_free(at.errs);
}

static void
datagrams_go_to_a_udp_port(void **state)
{
	struct node_conf nodes[] = { { .name = "a", .addr = "dns.local", .network = "unix" } };
	const struct forwarder_conf conf = { .nodes = { .n = 1, .v = nodes } };
	struct adit_conn *c = visitor_of(*state, "any");
	struct forwarder f = forwarder_of(&conf);
	struct adit_err e = ADIT_ERR_INIT;
	struct forward_target to;

	adit_conn_add_flags(c, ADIT_CONN_DGRAM);
	assert_non_null(pick(&f, c, 0, &to, &e));
	assert_int_equal(to.target.network, ADIT_UDP);
	assert_string_equal(to.target.host, "dns.local");
	assert_int_equal(to.target.port, 0);
	forwarder_fini(&f);
	adit_conn_close(c, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_nodes_nothing_is_picked, loop_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(each_node_is_tried_once, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(what_was_tried_is_not_picked, loop_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(a_node_is_for_the_host_it_names, loop_setup,
						loop_teardown),
		cmocka_unit_test_setup_teardown(a_node_may_be_a_path, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(datagrams_go_to_a_udp_port, loop_setup,
						loop_teardown),
		cmocka_unit_test(what_is_not_there_is_refused),
		cmocka_unit_test(too_many_nodes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
