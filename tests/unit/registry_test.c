#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/service/registry.h"

static void
no_handle(struct adit_handler *h, struct adit_conn *c)
{
	(void)h;
	(void)c;
}

static struct adit_conn *
no_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	(void)d;
	(void)req;
	(void)e;
	return NULL;
}

static int
no_open(struct adit_listener *l, struct adit_err *e)
{
	(void)l;
	(void)e;
	return 0;
}

static int
no_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	(void)l;
	(void)w;
	(void)e;
	return 0;
}

static void
no_stop(struct adit_listener *l, struct adit_worker *w)
{
	(void)l;
	(void)w;
}

static void
no_close(struct adit_listener *l)
{
	(void)l;
}

static struct adit_conn *
no_layer(struct adit_layer *l, struct adit_conn *lower, struct adit_err *e)
{
	(void)l;
	(void)lower;
	(void)e;
	return NULL;
}

static const struct adit_opt tcp_opts[] = { { .name = "keepalive" }, ADIT_OPT_END };
static const struct adit_opt dial_opts[] = { { .name = "bind" }, ADIT_OPT_END };
static const struct adit_opt tls_opts[] = { { .name = "sni" }, ADIT_OPT_END };

#define BASE(table, k, n, rows) \
	.base = { .abi = ADIT_ABI, .size = sizeof(table), .kind = (k), .name = (n), \
		  .opts = (rows), .instance = 64 }

static const struct adit_handler_ops handler = {
	BASE(handler, ADIT_HANDLER, "tcp", NULL), .handle = no_handle,
};
static const struct adit_dialer_ops dialer = {
	BASE(dialer, ADIT_DIALER, "tcp", dial_opts), .dial = no_dial,
};
static const struct adit_listener_ops listener = {
	BASE(listener, ADIT_LISTENER, "tcp", tcp_opts),
	.open = no_open, .start = no_start, .stop = no_stop, .close = no_close,
};
static const struct adit_layer_ops layer = {
	BASE(layer, ADIT_LAYER, "tls", tls_opts), .server = no_layer,
};
static const struct adit_stack stack = {
	BASE(stack, ADIT_STACK, "tls", NULL), .over = "tcp", .layers = { "tls" },
};

static struct registry *
filled(void)
{
	static const struct adit_plugin *const all[] = {
		&handler.base, &dialer.base, &listener.base, &layer.base, &stack.base,
	};
	struct registry *r = registry_new();
	struct adit_err e = ADIT_ERR_INIT;

	assert_non_null(r);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (registry_add(r, all[i], &e) < 0)
			fail_msg("%s", e.text);
	return r;
}

static void
found_by_kind_and_name(void **state)
{
	struct registry *r = filled();

	(void)state;
	assert_ptr_equal(registry_find(r, ADIT_HANDLER, "tcp"), &handler.base);
	assert_ptr_equal(registry_find(r, ADIT_DIALER, "tcp"), &dialer.base);
	assert_ptr_equal(registry_find(r, ADIT_LISTENER, "tcp"), &listener.base);
	assert_null(registry_find(r, ADIT_CONNECTOR, "tcp"));
	assert_null(registry_find(r, ADIT_HANDLER, "tc"));
	assert_null(registry_find(r, ADIT_HANDLER, ""));
	assert_ptr_equal(registry_at(r, 0), &handler.base);
	assert_ptr_equal(registry_at(r, 4), &stack.base);
	assert_null(registry_at(r, 5));
	registry_free(r);
}

static void
a_stack_is_a_listener_and_a_dialer(void **state)
{
	struct registry *r = filled();

	(void)state;
	assert_ptr_equal(registry_find(r, ADIT_LISTENER, "tls"), &stack.base);
	assert_ptr_equal(registry_find(r, ADIT_DIALER, "tls"), &stack.base);
	assert_ptr_equal(registry_find(r, ADIT_STACK, "tls"), &stack.base);
	assert_ptr_equal(registry_find(r, ADIT_LAYER, "tls"), &layer.base);
	assert_null(registry_find(r, ADIT_HANDLER, "tls"));
	registry_free(r);
}

static void
the_options_of_a_stack_are_those_of_its_parts(void **state)
{
	struct registry *r = filled();
	const struct adit_opt *rows;
	bool known = false;

	(void)state;
	rows = registry_rows(r, ADIT_LISTENER, "tls", &known);
	assert_true(known);
	assert_non_null(adit_opt_find(rows, tcp_opts[0].name));
	assert_non_null(adit_opt_find(rows, tls_opts[0].name));
	assert_ptr_equal(registry_rows(r, ADIT_LISTENER, "tls", &known), rows);
	rows = registry_rows(r, ADIT_DIALER, "tls", &known);
	assert_non_null(adit_opt_find(rows, dial_opts[0].name));
	assert_non_null(adit_opt_find(rows, tls_opts[0].name));
	assert_ptr_equal(registry_rows(r, ADIT_LISTENER, "tcp", &known), tcp_opts);
	assert_null(registry_rows(r, ADIT_HANDLER, "tcp", &known));
	assert_null(registry_rows(r, ADIT_HANDLER, "none", &known));
	assert_false(known);
	registry_free(r);
}

static void
refuse(struct registry *r, const struct adit_plugin *p, const char *why)
{
	struct adit_err e = ADIT_ERR_INIT;

	assert_int_equal(registry_add(r, p, &e), -EINVAL);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

static void
the_same_name_twice_is_refused(void **state)
{
	static const struct adit_listener_ops rival = {
		BASE(rival, ADIT_LISTENER, "tls", NULL),
		.open = no_open, .start = no_start, .stop = no_stop, .close = no_close,
	};
	static const struct adit_stack over = {
		BASE(over, ADIT_STACK, "tcp", NULL), .over = "unix",
	};
	struct registry *r = filled();

	(void)state;
	refuse(r, &handler.base, "already");
	refuse(r, &stack.base, "already");
	refuse(r, &rival.base, "already");
	refuse(r, &over.base, "already");
	registry_free(r);
}

static void
what_is_not_complete_is_refused(void **state)
{
	struct registry *r = filled();
	struct adit_handler_ops foreign = handler, nameless = handler, anonymous = handler,
				deaf = handler;
	struct adit_listener_ops listeners[4] = { listener, listener, listener, listener };
	struct adit_layer_ops empty = layer;
	struct adit_stack floating = stack;
	struct adit_handler_ops kindless = handler, small = handler, flat = handler;

	(void)state;
	foreign.base.abi = ADIT_ABI + 1;
	refuse(r, &foreign.base, "ABI");
	nameless.base.name = NULL;
	refuse(r, &nameless.base, "without a name");
	anonymous.base.name = "";
	refuse(r, &anonymous.base, "without a name");
	kindless.base.kind = ADIT_KINDS;
	refuse(r, &kindless.base, "kind");
	deaf.base.name = "deaf";
	deaf.handle = NULL;
	refuse(r, &deaf.base, "handler deaf lacks");
	/* A table that ends before the operation has none, whatever lies behind it. */
	small.base.name = "small";
	small.base.size = offsetof(struct adit_handler_ops, handle);
	refuse(r, &small.base, "handler small lacks");
	flat.base.name = "flat";
	flat.base.instance = sizeof(struct adit_handler) - 1;
	refuse(r, &flat.base, "handler flat has instances too small");
	for (size_t i = 0; i < 4; i++)
		listeners[i].base.name = "half";
	listeners[0].open = NULL;
	listeners[1].start = NULL;
	listeners[2].stop = NULL;
	listeners[3].close = NULL;
	for (size_t i = 0; i < 4; i++)
		refuse(r, &listeners[i].base, "listener half lacks");
	empty.base.name = "empty";
	empty.server = NULL;
	refuse(r, &empty.base, "layer empty lacks");
	floating.base.name = "floating";
	floating.over = NULL;
	refuse(r, &floating.base, "stack floating lacks");
	registry_free(r);
}

static void
there_is_a_limit(void **state)
{
	static struct adit_handler_ops many[300];
	static char names[300][8];
	struct registry *r = registry_new();
	struct adit_err e = ADIT_ERR_INIT;
	size_t n = 0;

	(void)state;
	for (; n < 300; n++) {
		snprintf(names[n], sizeof(names[n]), "h%zu", n);
		many[n] = handler;
		many[n].base.name = names[n];
		if (registry_add(r, &many[n].base, &e) < 0)
			break;
	}
	assert_in_range(n, 100, 299);
	assert_int_equal(e.code, ADIT_ELIMIT);
	assert_ptr_equal(registry_find(r, ADIT_HANDLER, names[n - 1]), &many[n - 1].base);
	registry_free(r);
	registry_free(NULL);
}

static void
kinds_have_names(void **state)
{
	(void)state;
	for (int kind = 0; kind < ADIT_KINDS; kind++)
		assert_true(*registry_kind_name((enum adit_kind)kind));
	assert_string_equal(registry_kind_name(ADIT_LISTENER), "listener");
	assert_string_equal(registry_kind_name(ADIT_KINDS), "unknown kind");
}

static int
no_init(struct adit_handler *h, struct adit_err *e)
{
	(void)h;
	(void)e;
	return 0;
}

/* A table of before operations were added ends early: what lies behind it is not its own. */
static void
what_a_table_does_not_reach_is_null(void **state)
{
	struct {
		struct adit_handler_ops	ops;
		char			behind[8];
	} old = {
		.ops = {
			.base = {
				.abi = ADIT_ABI, .size = offsetof(struct adit_handler_ops, fini),
				.kind = ADIT_HANDLER, .name = "old",
				.instance = sizeof(struct adit_handler),
			},
			.handle = no_handle, .init = no_init,
		},
	};
	struct registry *r = registry_new();
	struct adit_err e = ADIT_ERR_INIT;
	const struct adit_handler_ops *found;

	(void)state;
	memset((char *)&old + offsetof(struct adit_handler_ops, fini), 0xff,
	       sizeof(old) - offsetof(struct adit_handler_ops, fini));
	assert_int_equal(registry_add(r, &old.ops.base, &e), 0);
	found = (const void *)registry_find(r, ADIT_HANDLER, "old");
	assert_non_null(found);
	assert_true(found->handle == no_handle && found->init == no_init);
	assert_true(!found->fini && !found->open && !found->start && !found->stop);
	assert_true(!found->close && !found->shows_visitor && !found->protocol);
	assert_ptr_equal(registry_at(r, 0), found);
	/* There is one of that name now. */
	assert_int_equal(registry_add(r, &old.ops.base, &e), -EINVAL);
	registry_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_kind_and_name),
		cmocka_unit_test(what_a_table_does_not_reach_is_null),
		cmocka_unit_test(a_stack_is_a_listener_and_a_dialer),
		cmocka_unit_test(the_options_of_a_stack_are_those_of_its_parts),
		cmocka_unit_test(the_same_name_twice_is_refused),
		cmocka_unit_test(what_is_not_complete_is_refused),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(kinds_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
