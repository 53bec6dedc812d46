#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_text.h"

static const char text[] =
	"services:\n"
	"- addr: :1\n"
	"  handler:\n"
	"    type: tunnel\n"
	"    metadata:\n"
	"      entrypoint: 127.0.0.1:80\n"
	"      entrypoint.proxy: [a, b]\n"
	"      entrypoints:\n"
	"      - {addr: \":81\"}\n"
	"      - {addr: \":82\", ingress: x}\n"
	"  listener:\n"
	"    type: tls\n"
	"    tls: {certFile: /etc/a.pem, keyFile: /etc/a.pem.key}\n";

/* The line and column where what it says is found in that map. */
static void
expect(const struct adit_tree *node, const char *said, unsigned line, unsigned column)
{
	struct tree_pos pos = tree_pos(place_find(node, said));

	if (pos.line != line || pos.column != column)
		fail_msg("\"%s\" leads to %u:%u, not to %u:%u", said, pos.line, pos.column, line,
			 column);
}

static void
a_text_leads_to_the_value_it_is_about(void **state)
{
	struct config *config = config_of_text(NULL, text);
	const struct adit_tree *listener = config->services.v[0].listener->node;
	const struct adit_tree *metadata = config->services.v[0].handler->metadata;

	(void)state;
	expect(metadata, "entrypoint: in use", 6, 19);
	expect(metadata, "Entrypoint", 6, 19);
	expect(metadata, "entrypoint.proxy: what?", 7, 25);
	expect(metadata, "entrypoint.proxy[1]: what?", 7, 29);
	expect(metadata, "entrypoints[1].ingress: there is no \"x\"", 10, 32);
	expect(metadata, "entrypoints[1]: what?", 10, 9);
	expect(metadata, "entrypoints[0].addr: :81: in use", 9, 16);
	expect(metadata, "127.0.0.1:80 is taken", 6, 19);
	expect(listener, "tls: certFile: what?", 13, 21);
	expect(listener, "tls: /etc/a.pem: no such file", 13, 21);
	expect(listener, "tls: /etc/a.pem.key: no such file", 13, 42);
	expect(listener, "tls: no certificate", 13, 10);
	config_put(config);
}

static void
a_text_about_nothing_stays_where_it_is(void **state)
{
	struct config *config = config_of_text(NULL, text);
	const struct adit_tree *metadata = config->services.v[0].handler->metadata;

	(void)state;
	expect(metadata, "", 6, 7);
	expect(metadata, "entry: no key of it", 6, 7);
	expect(metadata, "entrypointsx: no key of it", 6, 7);
	expect(metadata, "the entrypoint", 6, 7);
	expect(metadata, "x is a word", 6, 7);
	expect(metadata, "entrypoints[2].addr: past the end", 9, 7);
	expect(metadata, "entrypoints[-1].addr: no index", 9, 7);
	expect(metadata, "entrypoints[1.addr: no index", 9, 7);
	expect(metadata, "entrypoints[99999999999999999999]", 9, 7);
	assert_null(place_find(NULL, "entrypoint: what?"));
	config_put(config);
}

static void
what_is_said_has_place_path_and_line(void **state)
{
	static const char *const said[] = {
		"nowhere",
		"stdin:6:19: handler.metadata: entrypoint: in use\n"
		"    6 |       entrypoint: 127.0.0.1:80\n"
		"      |                   ^",
	};
	struct config *config = config_of_text(NULL, text);
	const struct tree_path handler = { .key = "handler" };
	const struct tree_path path = { .up = &handler, .key = "metadata" };
	struct config_errors *errs = config_errors_new();
	const struct place at = {
		.node = config->services.v[0].handler->metadata, .path = &path, .errs = errs,
	};
	const struct place nowhere = { .errs = errs };

	(void)state;
	assert_int_equal(place_say(&nowhere, -5, "no%s", "where"), -5);
	assert_int_equal(place_say(&at, ADIT_ECONFIG, "entrypoint: in use"), ADIT_ECONFIG);
	config_errors_expect(errs, said, 2);
	config_errors_free(errs);
	config_put(config);
}

static void
a_step_leads_to_a_key_or_an_item(void **state)
{
	static const char *const said[] = {
		"stdin:2:3: services[0].forwarder: nothing there",
		"stdin:6:19: services[0].handler.metadata.entrypoint: in use",
	};
	struct config *config = config_of_text(NULL, text);
	const struct service_conf *s = &config->services.v[0];
	struct place_step item, handler, metadata, step;
	struct config_errors *errs = config_errors_new();
	const struct place top = { .errs = errs };

	(void)state;
	place_step_item(&item, &top, "services", 0, s->node);
	place_say(place_step(&step, &item.at, "forwarder", NULL), ADIT_ECONFIG, "nothing there");
	place_step(&handler, &item.at, "handler", s->handler->node);
	place_step(&metadata, &handler.at, "metadata", s->handler->metadata);
	place_say(place_step(&step, &metadata.at, "entrypoint",
			     tree_get(s->handler->metadata, "entrypoint")), ADIT_ECONFIG, "in use");
	config_errors_expect(errs, said, 2);
	config_errors_free(errs);
	config_put(config);
}

static void
what_is_there_and_not_available(void **state)
{
	static const char *const keys[] = { "addr", "null", "none", "absent", "list", NULL };
	static const char *const said[] = {
		"stdin:2:9: s.addr: addr is not available in this build",
		"stdin:3:30: s.list: list is not available in this build",
	};
	struct config *config = config_of_text(NULL,
		"services:\n"
		"- addr: :1\n"
		"  handler: {metadata: {list: [a], none: [], \"null\": ~}}\n");
	const struct service_conf *s = &config->services.v[0];
	const struct tree_path path = { .key = "s" };
	struct config_errors *errs = config_errors_new();
	const struct place service = { .node = s->node, .path = &path, .errs = errs };
	const struct place metadata = { .node = s->handler->metadata, .path = &path, .errs = errs };

	(void)state;
	assert_int_equal(place_unavailable(&service, keys), ADIT_EUNSUPPORTED);
	assert_int_equal(place_unavailable(&metadata, keys), ADIT_EUNSUPPORTED);
	assert_int_equal(place_unavailable(&metadata, keys + 5), 0);
	config_errors_expect(errs, said, 2);
	config_errors_free(errs);
	config_put(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_leads_to_the_value_it_is_about),
		cmocka_unit_test(a_text_about_nothing_stays_where_it_is),
		cmocka_unit_test(what_is_said_has_place_path_and_line),
		cmocka_unit_test(a_step_leads_to_a_key_or_an_item),
		cmocka_unit_test(what_is_there_and_not_available),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
