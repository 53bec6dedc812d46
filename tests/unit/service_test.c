/* Services: from what a listener accepts to the handler, their end, and what goes out of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/runtime/memory.h"
#include "core/service/component.h"
#include "tests/unit/config_text.h"
#include "tests/unit/fakes.h"
#include "tests/unit/service_stage.h"

#define TURNS 8

#define PLAIN "services: [{name: s, addr: \":1\", handler: {type: fake}, listener: {type: fake}}]\n"
#define LAYERED \
	"services: [{name: s, addr: \":1\", handler: {type: fake}, listener: {type: faked}}]\n"
#define MADE "init handler s; init listener s; open handler s; open listener s at :1"
#define MADE_LAYERED \
	"init handler s; init listener s; init server layer s; open handler s; " \
	"open listener s at :1"
#define GONE "close listener s; close handler s; fini listener s; fini handler s"

static void
load(struct service_stage *t, const char *text, const char *journal)
{
	service_stage_load(t, text);
	fakes_expect(journal);
}

/* Drops all that was made; what is in use stays until it is not. */
static void
unload(struct service_stage *t)
{
	generation_free(t->now, NULL);
	t->now = NULL;
}

static unsigned
active(struct service_stage *t)
{
	return service_active(service_stage_find(t, "s"));
}

static void
accept_one(struct service_stage *t, struct adit_conn *c)
{
	assert_non_null(fakes_listener());
	adit_accept(fakes_listener(), c);
	loop_turn(t->loop, TURNS);
}

/* What a drain or the end asks of all that goes on. */
static void
ask_to_stop(struct service_stage *t, int why)
{
	activities_stop(fakes_listener()->component->activities, t->loop->worker, why);
	loop_turn(t->loop, TURNS);
}

/* ---- life -------------------------------------------------------------- */

static void
parts_go_in_the_order_they_came(void **state)
{
	struct service_stage *t = *state;

	load(t, PLAIN, MADE);
	assert_string_equal(service_conf_of(service_stage_find(t, "s"))->name, "s");
	assert_ptr_equal(service_config(service_stage_find(t, "s")), t->now->config);
	unload(t);
	fakes_expect(GONE);
}

static void
all_that_cannot_be_opened_is_said(void **state)
{
	static const char *const wrong[] = {
		"stdin:3:9: services[0].addr: listen :1: in use",
		"stdin:4:54: services[0].handler.metadata: file: in use",
	};
	struct service_stage *t = *state;

	assert_null(service_stage_build(
		t, "services:\n"
		   "- name: s\n"
		   "  addr: :1\n"
		   "  handler: {type: fake, metadata: {fail: open, file: x}}\n"
		   "  listener: {type: fake, metadata: {fail: open}}\n"));
	config_errors_expect(t->errs, wrong, 2);
	/* What the handler may have opened is closed, the listener has nothing. */
	fakes_expect(MADE "; close handler s; fini listener s; fini handler s");
}

static void
it_starts_and_stops_on_every_worker(void **state)
{
	struct service_stage *t = *state;
	struct service *s;

	load(t, PLAIN, MADE);
	s = service_stage_find(t, "s");
	assert_int_equal(service_start(s, t->workers, t->errs), 0);
	fakes_expect("start listener s; start listener s; start listener s");
	service_stop(s, t->workers);
	fakes_expect("stop listener s; stop listener s; stop listener s");
	service_close(s);
	service_close(s);
	fakes_expect("close listener s; close handler s");
}

static void
a_worker_that_cannot_start_stops_all(void **state)
{
	static const char *const wrong[] = {
		"stdin:1:12: services[0]: worker 1: no descriptor",
	};
	struct service_stage *t = *state;

	load(t, "services: [{name: s, addr: \":1\", handler: {type: fake}, "
		"listener: {type: fake, metadata: {fail: start}}}]\n", MADE);
	assert_int_equal(service_start(service_stage_find(t, "s"), t->workers, t->errs), -EMFILE);
	config_errors_expect(t->errs, wrong, 1);
	assert_int_equal(fakes_count("start listener"), 3);
	assert_int_equal(fakes_count("stop listener"), 3);
}

/* ---- what comes in ----------------------------------------------------- */

static void
an_open_conn_is_the_handlers_at_once(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *c = fakes_conn(t->loop->worker, "c");

	load(t, PLAIN, MADE);
	adit_conn_ready(c, ADIT_OPEN);
	adit_accept(fakes_listener(), c);
	fakes_expect("handle s fake");
	assert_ptr_equal(fakes_handled(), c);
	assert_string_equal(adit_conn_service(c), "s");
	assert_int_equal(active(t), 0);
	adit_conn_close(c, 0);
}

static void
a_service_lives_as_long_as_its_last_conn(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *c = fakes_conn(t->loop->worker, "c");

	load(t, PLAIN, MADE);
	adit_conn_ready(c, ADIT_OPEN);
	accept_one(t, c);
	unload(t);
	fakes_expect("handle s fake; close listener s; close handler s");
	assert_string_equal(adit_conn_service(fakes_handled()), "s");
	adit_conn_close(c, 0);
	loop_turn(t->loop, TURNS);
	fakes_expect("close conn c; fini listener s; fini handler s");
}

static void
a_conn_that_opens_is_handed_over_then(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *c = fakes_conn(t->loop->worker, "c");

	load(t, PLAIN, MADE);
	accept_one(t, c);
	fakes_expect("");
	assert_int_equal(active(t), 1);
	adit_conn_ready(c, ADIT_OPEN);
	loop_turn(t->loop, TURNS);
	fakes_expect("handle s fake");
	assert_int_equal(active(t), 0);
	assert_int_equal(adit_conn_wanted(c), 0);
	adit_conn_close(fakes_handled(), 0);
}

static void
a_conn_that_does_not_open_is_closed(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *c = fakes_conn(t->loop->worker, "c");

	load(t, PLAIN, MADE);
	accept_one(t, c);
	adit_conn_fail(c, -ECONNRESET);
	loop_turn(t->loop, TURNS);
	fakes_expect("close conn c: Connection reset by peer");
	assert_null(fakes_handled());
	assert_int_equal(active(t), 0);
}

static void
layers_are_put_over_what_comes_in(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *c = fakes_conn(t->loop->worker, "c"), *top;

	load(t, LAYERED, MADE_LAYERED);
	adit_conn_ready(c, ADIT_OPEN);	/* its layer is not */
	accept_one(t, c);
	top = fakes_last_conn();
	assert_ptr_equal(fakes_lower(top), c);
	fakes_expect("server layer");
	assert_int_equal(active(t), 1);
	adit_conn_ready(top, ADIT_OPEN);
	loop_turn(t->loop, TURNS);
	assert_ptr_equal(fakes_handled(), top);
	fakes_expect("handle s fake");
	adit_conn_close(top, 0);
}

static void
a_layer_that_cannot_be_made_ends_it(void **state)
{
	struct service_stage *t = *state;

	load(t, "services: [{name: s, addr: \":1\", handler: {type: fake}, "
		"listener: {type: faked, metadata: {layerFail: layer}}}]\n", MADE_LAYERED);
	accept_one(t, fakes_conn(t->loop->worker, "c"));
	fakes_expect("server layer; close conn c: Protocol error");
	assert_int_equal(active(t), 0);
}

static void
without_memory_nobody_is_let_in(void **state)
{
	struct service_stage *t = *state;
	struct memory *m = worker_memory(t->loop->worker);
	struct adit_conn *c = fakes_conn(t->loop->worker, "c");
	size_t all = (size_t)memory_budget(m);

	load(t, PLAIN, MADE);
	adit_conn_ready(c, ADIT_OPEN);
	memory_take(m, all);
	accept_one(t, c);
	memory_give(m, all);
	assert_null(fakes_handled());
	assert_int_equal(fakes_count("close conn c: "), 1);
}

/* ---- the end ----------------------------------------------------------- */

static void
a_handshake_does_not_outlast_the_drain(void **state)
{
	struct service_stage *t = *state;

	load(t, LAYERED, MADE_LAYERED);
	accept_one(t, fakes_conn(t->loop->worker, "c"));
	assert_int_equal(active(t), 1);
	ask_to_stop(t, 0);
	assert_int_equal(active(t), 0);
	assert_int_equal(fakes_count("close layer s: "), 1);
	assert_int_equal(fakes_count("close conn c: "), 1);
}

/* A stream whose head is not here yet: its visitor has been promised to be served. */
static void
a_stream_outlasts_the_drain_and_not_the_end(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *c = fakes_conn(t->loop->worker, "c");
	struct adit_conn *d = fakes_conn(t->loop->worker, "d");

	load(t, PLAIN, MADE);
	accept_one(t, c);
	accept_one(t, d);
	ask_to_stop(t, 0);
	assert_int_equal(active(t), 2);
	adit_conn_ready(c, ADIT_OPEN);
	loop_turn(t->loop, TURNS);
	assert_ptr_equal(fakes_handled(), c);
	fakes_expect("handle s fake");
	ask_to_stop(t, ADIT_ESTOPPED);
	assert_int_equal(active(t), 0);
	assert_int_equal(fakes_count("close conn d: "), 1);
	adit_conn_close(c, 0);
}

static void
accept_there(struct adit_worker *w, void *arg)
{
	(void)arg;
	if (adit_worker_index(w) == 2)
		adit_accept(fakes_listener(), fakes_conn(w, "there"));
}

static void
the_end_reaches_every_worker(void **state)
{
	struct service_stage *t = *state;
	struct service *s;

	load(t, PLAIN, MADE);
	s = service_stage_find(t, "s");
	workers_call(t->workers, accept_there, NULL);
	assert_int_equal(active(t), 1);
	service_stop(s, t->workers);
	assert_int_equal(active(t), 1);
	service_kill(s, t->workers);
	assert_int_equal(active(t), 0);
	assert_int_equal(fakes_count("close conn there: "), 1);
}

/* ---- what goes out ----------------------------------------------------- */

#define CHAIN(connector) \
	"chains: [{name: c, hops: [{nodes: [{name: n, addr: \"h:1\", connector: {type: " connector \
	"}, dialer: {type: fake}}]}]}]\n"
#define THROUGH(component, more) \
	"services:\n" \
	"- name: s\n" \
	"  addr: :1\n" \
	"  handler: {type: fake" component "}\n" \
	"  listener: {type: fake}\n" more

/* A visitor, whose other end is closed with it. */
static struct adit_conn *
visitor_of(struct service_stage *t)
{
	struct adit_conn *c, *other;
	struct adit_addr from;

	assert_int_equal(adit_conn_pair(t->loop->worker, t->loop->worker, 64, &c, &other), 0);
	assert_int_equal(adit_addr_parse("192.0.2.1", 7, &from), 0);
	adit_conn_set_remote(c, &from);
	adit_conn_close(other, 0);
	return c;
}

static void
a_handler_dials_through_its_chain(void **state)
{
	const struct adit_target to = { .network = ADIT_TCP, .host = "x", .port = 9 };
	struct service_stage *t = *state;
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c, *visitor = visitor_of(t);

	service_stage_load(t, THROUGH(", chain: c", "") CHAIN("fake"));
	fakes_expect("init connector n; protocol bound/1; init dialer n; " MADE);
	c = adit_handler_dial(fakes_handler(), visitor, &to, &e);
	assert_non_null(c);
	adit_conn_close(c, 0);
	adit_conn_close(visitor, 0);
	fakes_expect("dial n h:1 lane 0; connect n x:9 for 192.0.2.1:7; close connected n; "
		     "close dialed n");
}

#define TARGETS \
	"  forwarder: {selector: {strategy: fifo, maxFails: 3}, " \
	"nodes: [{name: a, addr: \"a:1\"}, {name: b, addr: \"b:2\"}]}\n"

static void
a_visitor_is_forwarded_to_a_target_that_answers(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *visitor = visitor_of(t), *first, *second;
	struct adit_tried tried = { .n = 0 };
	struct adit_err e = ADIT_ERR_INIT;

	service_stage_load(t, THROUGH(", chain: c", TARGETS) CHAIN("fake"));
	fakes_expect("init connector n; protocol bound/1; init dialer n; " MADE);
	first = adit_forward(fakes_handler(), visitor, &tried, &e);
	fakes_expect("dial n h:1 lane 0; connect n a:1 for 192.0.2.1:7");
	adit_conn_fail(first, -ECONNREFUSED);
	second = adit_forward(fakes_handler(), visitor, &tried, &e);
	fakes_expect("dial n h:1 lane 0; connect n b:2 for 192.0.2.1:7");
	assert_null(adit_forward(fakes_handler(), visitor, &tried, &e));
	assert_int_equal(e.code, ADIT_ENOROUTE);
	adit_conn_close(first, 0);
	adit_conn_close(second, 0);
	adit_conn_close(visitor, 0);
}

/* What cannot even be begun counts as well. */
static void
a_target_that_cannot_be_dialed_is_left_out(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *visitor = visitor_of(t);
	struct adit_tried tried = { .n = 0 };
	struct adit_err e = ADIT_ERR_INIT;

	service_stage_load(t, THROUGH(", chain: c", TARGETS)
			      "chains: [{name: c, hops: [{nodes: [{name: n, addr: \"h:1\", "
			      "connector: {type: fake, metadata: {fail: connect}}, "
			      "dialer: {type: fake}}]}]}]\n");
	assert_null(adit_forward(fakes_handler(), visitor, &tried, &e));
	assert_string_equal(e.text, "does not fit");
	assert_int_equal(fakes_count("connect n a:1"), 1);
	assert_int_equal(fakes_count("connect n b:2"), 1);
	adit_conn_close(visitor, 0);
}

/* How it ends is reported to a target that must still be there. */
static void
a_service_lives_until_its_target_is_open(void **state)
{
	struct service_stage *t = *state;
	struct adit_conn *visitor = visitor_of(t), *c;
	struct adit_tried tried = { .n = 0 };
	struct adit_err e = ADIT_ERR_INIT;

	service_stage_load(t, THROUGH(", chain: c", TARGETS) CHAIN("fake"));
	c = adit_forward(fakes_handler(), visitor, &tried, &e);
	assert_non_null(c);
	unload(t);
	assert_int_equal(fakes_count("close handler"), 1);
	assert_int_equal(fakes_count("fini handler"), 0);
	adit_conn_ready(c, ADIT_OPEN);
	assert_int_equal(fakes_count("fini handler"), 1);
	adit_conn_close(c, 0);
	adit_conn_close(visitor, 0);
}

static void
ask_bind(struct service_stage *t, struct adit_err *e)
{
	const struct adit_target address = { .host = "", .port = 8 };

	*e = (struct adit_err)ADIT_ERR_INIT;
	assert_null(adit_listener_bind(fakes_listener(), t->loop->worker, &address, e));
}

#define BOUND(handler, more) \
	"services:\n" \
	"- {name: s, addr: \":1\", handler: {type: fake" handler "}, " \
	"listener: {type: fake, chain: c}" more "}\n" CHAIN("fake")

/* Whether a conn may be kept for another visitor than the one it was for. */
static void
a_bind_says_whether_visitors_matter(void **state)
{
	static const char hashed[] = ", forwarder: {selector: {strategy: hash}, "
				     "nodes: [{name: a, addr: \"a:1\"}]}";
	static const char rounds[] = ", forwarder: {nodes: [{name: a, addr: \"a:1\"}]}";
	struct service_stage *t = *state;
	char text[1024];
	struct adit_err e;

	service_stage_load(t, BOUND("", ""));
	ask_bind(t, &e);
	assert_int_equal(fakes_count("bind n :8"), 1);
	assert_int_equal(fakes_count("bind n :8 with visitors"), 0);
	fakes_show_visitor(true);
	ask_bind(t, &e);
	assert_int_equal(fakes_count("bind n :8 with visitors"), 1);
	fakes_show_visitor(false);
	service_stage_load(t, BOUND(", chain: c", ""));
	ask_bind(t, &e);
	assert_int_equal(fakes_count("bind n :8 with visitors"), 2);
	snprintf(text, sizeof(text), "services:\n- {name: s, addr: \":1\", handler: {type: fake}, "
		 "listener: {type: fake, chain: c}%s}\n" CHAIN("fake"), hashed);
	service_stage_load(t, text);
	ask_bind(t, &e);
	assert_int_equal(fakes_count("bind n :8 with visitors"), 3);
	snprintf(text, sizeof(text), "services:\n- {name: s, addr: \":1\", handler: {type: fake}, "
		 "listener: {type: fake, chain: c}%s}\n" CHAIN("fake"), rounds);
	service_stage_load(t, text);
	ask_bind(t, &e);
	assert_int_equal(fakes_count("bind n :8"), 5);
	assert_int_equal(fakes_count("bind n :8 with visitors"), 3);
}

static void
a_listener_that_cannot_bind_is_refused(void **state)
{
	static const char *const no_chain[] = {
		"stdin:5:13: services[0].listener: listener fake needs a chain (-F)",
	};
	static const char *const no_bind[] = {
		"stdin:5:33: services[0].listener: chain c: its last connector cannot bind",
	};
	static const char head[] =
		"services:\n"
		"- name: s\n"
		"  addr: :1\n"
		"  handler: {type: fake}\n";
	struct service_stage *t = *state;
	char text[1024];
	struct adit_err e;

	snprintf(text, sizeof(text), "%s  listener: {type: fake, metadata: {fail: unbound}}\n",
		 head);
	assert_null(service_stage_build(t, text));
	config_errors_expect(t->errs, no_chain, 1);
	snprintf(text, sizeof(text), "%s  listener: {type: fake, chain: c, "
		 "metadata: {fail: unbound}}\n" CHAIN("fake1"), head);
	assert_null(service_stage_build(t, text));
	config_errors_expect(t->errs, no_bind, 1);
	snprintf(text, sizeof(text), "%s  listener: {type: fake, chain: c, "
		 "metadata: {fail: unbound}}\n" CHAIN("fake"), head);
	service_stage_load(t, text);
	service_stage_load(t, PLAIN);
	ask_bind(t, &e);
	assert_int_equal(e.code, ADIT_EUNSUPPORTED);
}

/* ---- what is not there ------------------------------------------------- */

static void
what_is_not_available_is_said_in_its_place(void **state)
{
	static const char text[] =
		"services:\n"
		"- name: s\n"
		"  addr: :1\n"
		"  observer: o\n"
		"  admissions: []\n"
		"  interface: eth0\n"
		"  handler: {type: fake, retries: 2, auth: {username: u}}\n"
		"  listener: {type: fake, auther: a}\n"
		"  metadata: {proxyProtocol: 1, ignoreChain: true, dialTimeout: 3s, preUp: x}\n"
		"- name: fine\n"
		"  addr: :1\n"
		"  handler: {type: fake, retries: 0}\n"
		"  listener: {type: fake}\n"
		"  metadata: {proxyProtocol: 0, ignoreChain: false}\n"
		"observers: [{name: o}]\n"
		"authers: [{name: a}]\n";
	static const char *const wrong[] = {
		"stdin:4:13: services[0].observer: observer is not available in this build",
		"stdin:6:14: services[0].interface: interface is not available in this build",
		"stdin:7:43: services[0].handler.auth: auth is not available in this build",
		"stdin:8:34: services[0].listener.auther: auther is not available in this build",
		("stdin:9:45: services[0].metadata.ignoreChain: ignoreChain is not available in "
		 "this build"),
		"stdin:9:75: services[0].metadata.preUp: preUp is not available in this build",
	};
	struct service_stage *t = *state;

	assert_null(service_stage_build(t, text));
	config_errors_expect(t->errs, wrong, sizeof(wrong) / sizeof(*wrong));
	assert_int_equal(fakes_count("open"), 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, service_stage_setup_fakes, service_stage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_go_in_the_order_they_came),
		TEST(all_that_cannot_be_opened_is_said),
		TEST(it_starts_and_stops_on_every_worker),
		TEST(a_worker_that_cannot_start_stops_all),
		TEST(an_open_conn_is_the_handlers_at_once),
		TEST(a_service_lives_as_long_as_its_last_conn),
		TEST(a_conn_that_opens_is_handed_over_then),
		TEST(a_conn_that_does_not_open_is_closed),
		TEST(layers_are_put_over_what_comes_in),
		TEST(a_layer_that_cannot_be_made_ends_it),
		TEST(without_memory_nobody_is_let_in),
		TEST(a_handshake_does_not_outlast_the_drain),
		TEST(a_stream_outlasts_the_drain_and_not_the_end),
		TEST(the_end_reaches_every_worker),
		TEST(a_handler_dials_through_its_chain),
		TEST(a_visitor_is_forwarded_to_a_target_that_answers),
		TEST(a_target_that_cannot_be_dialed_is_left_out),
		TEST(a_service_lives_until_its_target_is_open),
		TEST(a_bind_says_whether_visitors_matter),
		TEST(a_listener_that_cannot_bind_is_refused),
		TEST(what_is_not_available_is_said_in_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
