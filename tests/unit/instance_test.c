/* Instances: what they are made of, and in which order what is made goes again. */
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

#include "core/service/component.h"
#include "core/service/instance.h"
#include "tests/unit/config_text.h"
#include "tests/unit/fakes.h"
#include "tests/unit/loop.h"

/* A listener of the type in a configuration, and what is made of it. */
struct made {
	struct registry		*registry;
	struct config		*config;
	struct adit_component	 place;
	struct instance		 instance;
	struct tree_path	 path;
	struct instance_source	 from;
};

static int
setup(void **state)
{
	struct made *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->registry = registry_new();
	assert_non_null(m->registry);
	fakes_register(m->registry);
	m->path.key = "it";
	m->from.registry = m->registry;
	m->from.at.path = &m->path;
	m->from.at.errs = config_errors_new();
	assert_non_null(m->from.at.errs);
	component_init(&m->place, "s", NULL, NULL);
	*state = m;
	return 0;
}

static int
teardown(void **state)
{
	struct made *m = *state;

	instance_fini(&m->instance);
	component_fini(&m->place);
	config_put(m->config);
	config_errors_free(m->from.at.errs);
	registry_free(m->registry);
	free(m);
	return 0;
}

static int
make(struct made *m, const struct component_conf *c)
{
	m->from.conf = c;
	m->from.at.node = c->node;
	return instance_init(&m->instance, &m->from, &m->place);
}

/* Makes the listener that text, a map of one line, describes. */
static int
make_listener(struct made *m, const char *text)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "services:\n- addr: :1\n  listener: %s\n", text);
	m->config = config_of_text(m->registry, whole);
	m->from.addr = ":1";
	return make(m, m->config->services.v[0].listener);
}

/* Makes connector and dialer of a node; which says which is asked for. */
static const struct node_conf *
node_of(struct made *m, const char *text)
{
	char whole[512];

	snprintf(whole, sizeof(whole),
		 "chains: [{name: c, hops: [{name: h, nodes: [{addr: \"h:1\", %s}]}]}]\n", text);
	m->config = config_of_text(m->registry, whole);
	return &m->config->chains.v[0].hops.v[0].nodes.v[0];
}

static void
expect_errors(struct made *m, const char *first)
{
	config_errors_expect(m->from.at.errs, &first, 1);
}

/* ---- making ------------------------------------------------------------ */

static void
it_is_filled_and_initialised(void **state)
{
	struct made *m = *state;
	struct adit_listener *l;

	assert_int_equal(make_listener(m, "{type: fake, metadata: {file: /x}}"), 0);
	l = m->instance.base;
	assert_string_equal(l->ops->base.name, "fake");
	assert_ptr_equal(l->component, &m->place);
	assert_string_equal(l->addr, ":1");
	assert_int_equal(m->instance.n_layers, 0);
	fakes_expect("init listener s");
	instance_fini(&m->instance);
	fakes_expect("fini listener s");
	instance_fini(&m->instance);
	fakes_expect("");
	assert_int_equal(config_errors_count(m->from.at.errs), 0);
}

static void
a_failing_init_is_said_at_its_option(void **state)
{
	struct made *m = *state;

	assert_true(make_listener(m, "{type: fake, metadata: {fail: init, file: /x}}") < 0);
	expect_errors(m, "stdin:3:55: it.metadata: file: /x is missing");
	assert_null(m->instance.base);
	fakes_expect("init listener s; fini listener s");
}

static void
a_failing_init_is_said_where_it_stands(void **state)
{
	struct made *m = *state;

	assert_int_equal(make_listener(m, "{type: fake, metadata: {fail: init}}"), ADIT_ECONFIG);
	expect_errors(m, "stdin:3:13: it: listener will not\n"
			 "    3 |   listener: {type: fake, metadata: {fail: init}}\n"
			 "      |             ^");
}

static void
a_plugin_that_says_nothing_is_named(void **state)
{
	struct made *m = *state;

	assert_int_equal(make_listener(m, "{type: fake, metadata: {fail: silent}}"), -EIO);
	expect_errors(m, "stdin:3:13: it: listener fake: Input/output error");
}

static void
what_is_not_there_is_named(void **state)
{
	const struct component_conf c = { .kind = ADIT_LISTENER, .type = "other" };
	struct made *m = *state;

	assert_int_equal(make(m, &c), ADIT_EUNSUPPORTED);
	expect_errors(m, "it: listener other is not available in this build");
	instance_fini(&m->instance);
	assert_null(instance_protocol(&m->instance));
}

static void
a_session_that_is_missing_undoes_the_rest(void **state)
{
	struct made *m = *state;

	assert_int_equal(make_listener(m, "{type: muxed}"), ADIT_EUNSUPPORTED);
	expect_errors(m, "stdin:3:13: it: muxed needs the session none");
	fakes_expect("init listener s; fini listener s");
}

/* The loader finds them too, where it knows the plugin. */
static void
wrong_options_are_said_each(void **state)
{
	static const char *const wrong[] = {
		"stdin:3:42: it.metadata.fail: expected a text, not a list",
		"stdin:3:53: it.metadata.file: expected a text, not a map",
	};
	struct made *m = *state;
	struct component_conf c;

	m->config = config_of_text(NULL, "services:\n- addr: :1\n"
				   "  listener: {type: tcp, "
				   "metadata: {fail: [a], file: {b: c}}}\n");
	c = *m->config->services.v[0].listener;
	c.type = "fake";
	assert_int_equal(make(m, &c), ADIT_ECONFIG);
	config_errors_expect(m->from.at.errs, wrong, 2);
	assert_null(m->instance.base);
	fakes_expect("");
}

/* ---- stacks ------------------------------------------------------------ */

static void
a_stack_is_its_base_and_layers(void **state)
{
	struct made *m = *state;

	assert_int_equal(make_listener(m, "{type: faked2}"), 0);
	assert_int_equal(m->instance.n_layers, 2);
	fakes_expect("init listener s; init server layer s; init server layer s");
	instance_fini(&m->instance);
	fakes_expect("fini layer s; fini layer s; fini listener s");
}

static void
a_layer_that_is_missing_undoes_the_rest(void **state)
{
	struct made *m = *state;

	assert_int_equal(make_listener(m, "{type: broken}"), ADIT_EUNSUPPORTED);
	expect_errors(m, "stdin:3:13: it: broken needs the layer none");
	fakes_expect("init listener s; init server layer s; fini layer s; fini listener s");
}

static void
a_layer_that_fails_undoes_the_rest(void **state)
{
	struct made *m = *state;

	assert_true(make_listener(m, "{type: faked, metadata: {layerFail: init}}") < 0);
	expect_errors(m, "stdin:3:13: it: server layer will not");
	fakes_expect("init listener s; init server layer s; fini layer s; fini listener s");
}

static void
layers_go_over_a_conn_from_below_to_above(void **state)
{
	struct loop *l = loop_new();
	struct adit_err e = ADIT_ERR_INIT;
	struct made *m = *state;
	struct adit_conn *c;

	assert_int_equal(make_listener(m, "{type: faked2}"), 0);
	fakes_expect("init listener s; init server layer s; init server layer s");
	c = instance_server(&m->instance, fakes_conn(l->worker, "a"), &e);
	assert_non_null(c);
	adit_conn_close(c, 0);
	fakes_expect("server layer; server layer; close layer s; close layer s; close conn a");
	c = instance_client(&m->instance, fakes_conn(l->worker, "b"), "host", &e);
	assert_non_null(c);
	adit_conn_close(c, -EPIPE);
	fakes_expect("client layer of host; client layer of host; close layer s: Broken pipe; "
		     "close layer s: Broken pipe; close conn b: Broken pipe");
	assert_null(instance_client(&m->instance, NULL, "host", &e));
	fakes_expect("");
	loop_free(l);
}

static void
a_layer_that_refuses_a_conn_ends_it(void **state)
{
	struct loop *l = loop_new();
	struct adit_err e = ADIT_ERR_INIT;
	struct made *m = *state;

	assert_int_equal(make_listener(m, "{type: faked2, metadata: {layerFail: layer}}"), 0);
	fakes_expect("init listener s; init server layer s; init server layer s");
	assert_null(instance_server(&m->instance, fakes_conn(l->worker, "a"), &e));
	assert_string_equal(e.text, "no layer");
	fakes_expect("server layer; close conn a: Protocol error");
	loop_free(l);
}

static void
protocols_are_handlers_and_connectors(void **state)
{
	struct made *m = *state;
	const struct node_conf *n = node_of(m, "connector: {type: fake}, dialer: {type: faked}");
	struct instance handler;

	assert_int_equal(make(m, n->dialer), 0);
	fakes_expect("init dialer s; init client layer s");
	assert_null(instance_protocol(&m->instance));
	instance_fini(&m->instance);
	assert_int_equal(make(m, n->connector), 0);
	assert_string_equal(instance_protocol(&m->instance), "bound/1");
	m->from.conf = &(const struct component_conf){ .kind = ADIT_HANDLER, .type = "fake" };
	assert_int_equal(instance_init(&handler, &m->from, &m->place), 0);
	assert_string_equal(instance_protocol(&handler), "fake/1");
	instance_fini(&handler);
}

/* ---- components -------------------------------------------------------- */

static const struct tls_conf default_tls = {
	.tls = { .cert_file = "d.pem", .key_file = "d.key", .common_name = "d", .secure = true },
};

static void
the_default_certificate_is_for_servers_without_one(void **state)
{
	struct tls_conf own = { .tls = { .cert_file = "o.pem", .ca_file = "o.ca" } };
	struct tls_conf ca = { .tls = { .ca_file = "o.ca" } };
	struct component_conf c = { .kind = ADIT_LISTENER, .type = "fake" };
	struct made *m = *state;

	m->from.conf = &c;
	m->from.default_tls = &default_tls;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_string_equal(m->place.tls.cert_file, "d.pem");
	assert_string_equal(m->place.tls.key_file, "d.key");
	assert_string_equal(m->place.tls.common_name, "d");
	assert_false(m->place.tls.secure);
	c.tls = &ca;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_string_equal(m->place.tls.cert_file, "d.pem");
	assert_string_equal(m->place.tls.ca_file, "o.ca");
	c.tls = &own;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_string_equal(m->place.tls.cert_file, "o.pem");
	assert_null(m->place.tls.key_file);
	c.tls = &ca;
	c.kind = ADIT_DIALER;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_null(m->place.tls.cert_file);
}

static void
what_a_client_presents(void **state)
{
	struct made *m = *state;
	const struct node_conf *n = node_of(
		m, "connector: {type: fake, auth: {username: u}}, "
		   "dialer: {type: fake, auth: {file: /dev/null/users}}");
	const char *user, *password;

	assert_false(adit_component_auth(&m->place, &user, &password));
	m->from.conf = n->connector;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_true(adit_component_auth(&m->place, &user, &password));
	assert_string_equal(user, "u");
	assert_string_equal(password, "");
	m->from.conf = n->dialer;
	m->from.at.node = n->dialer->node;
	assert_int_equal(component_configure(&m->place, &m->from), -ENOTDIR);
	expect_errors(m, "stdin:1:139: it: /dev/null/users: Not a directory");
}

static void
what_a_client_presents_from_a_file(void **state)
{
	char path[] = "/tmp/adit-instance-XXXXXX", text[200];
	struct made *m = *state;
	const struct node_conf *n;
	const char *user, *password;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "# me\nu secret\n", 14), 14);
	close(fd);
	snprintf(text, sizeof(text), "connector: {type: fake, auth: {file: %s}}", path);
	n = node_of(m, text);
	m->from.conf = n->connector;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_true(adit_component_auth(&m->place, &user, &password));
	assert_string_equal(user, "u");
	assert_string_equal(password, "secret");
	unlink(path);
}

/* Its file is who may pass (auth.h), and not read as what it presents. */
static void
a_server_presents_no_file(void **state)
{
	struct auth_conf auth = { .file = "/dev/null/users" };
	const struct component_conf c = { .kind = ADIT_HANDLER, .type = "fake", .auth = &auth };
	struct made *m = *state;
	const char *user, *password;

	m->from.conf = &c;
	assert_int_equal(component_configure(&m->place, &m->from), 0);
	assert_false(adit_component_auth(&m->place, &user, &password));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_filled_and_initialised),
		TEST(a_failing_init_is_said_at_its_option),
		TEST(a_failing_init_is_said_where_it_stands),
		TEST(a_plugin_that_says_nothing_is_named),
		TEST(what_is_not_there_is_named),
		TEST(a_session_that_is_missing_undoes_the_rest),
		TEST(wrong_options_are_said_each),
		TEST(a_stack_is_its_base_and_layers),
		TEST(a_layer_that_is_missing_undoes_the_rest),
		TEST(a_layer_that_fails_undoes_the_rest),
		TEST(layers_go_over_a_conn_from_below_to_above),
		TEST(a_layer_that_refuses_a_conn_ends_it),
		TEST(protocols_are_handlers_and_connectors),
		TEST(the_default_certificate_is_for_servers_without_one),
		TEST(what_a_client_presents),
		TEST(what_a_client_presents_from_a_file),
		TEST(a_server_presents_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
