#include "tests/unit/fakes.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <adit/mux.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char journal[8192];
static struct adit_conn *last_conn, *handled;
static struct adit_listener *open_listener;
static struct adit_handler *last_handler;
static bool shows_visitor;

/* ---- what is written down ---------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void
note(const char *fmt, ...)
{
	size_t len;
	va_list ap;

	pthread_mutex_lock(&lock);
	len = strlen(journal);
	if (len && len < sizeof(journal) - 3)
		len += (size_t)snprintf(journal + len, sizeof(journal) - len, "; ");
	va_start(ap, fmt);
	vsnprintf(journal + len, sizeof(journal) - len, fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&lock);
}

void
fakes_expect(const char *expected)
{
	char found[sizeof(journal)];

	pthread_mutex_lock(&lock);
	memcpy(found, journal, sizeof(found));
	journal[0] = 0;
	pthread_mutex_unlock(&lock);
	assert_string_equal(found, expected);
}

unsigned
fakes_count(const char *beginning)
{
	const char *at = journal;
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (; at && *at; at = strstr(at, "; ") ? strstr(at, "; ") + 2 : NULL)
		n += strncmp(at, beginning, strlen(beginning)) == 0;
	pthread_mutex_unlock(&lock);
	return n;
}

struct adit_conn *
fakes_last_conn(void)
{
	assert_non_null(last_conn);
	return last_conn;
}

struct adit_conn *
fakes_handled(void)
{
	struct adit_conn *c = handled;

	handled = NULL;
	return c;
}

struct adit_listener *
fakes_listener(void)
{
	return open_listener;
}

struct adit_handler *
fakes_handler(void)
{
	return last_handler;
}

void
fakes_show_visitor(bool shows)
{
	shows_visitor = shows;
}

/* ---- conns ------------------------------------------------------------- */

struct fake_conn {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned, or NULL */
	char			 name[64];
};

static ssize_t
conn_read(struct adit_conn *c, void *buf, size_t len)
{
	(void)c;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static ssize_t
conn_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	(void)c;
	(void)iov;
	(void)n;
	return -EAGAIN;
}

static int
conn_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;
}

static void
conn_close(struct adit_conn *c, int why)
{
	struct fake_conn *f = adit_container_of(c, struct fake_conn, base);

	if (why)
		note("close %s: %s", f->name, adit_strerror(why));
	else
		note("close %s", f->name);
	if (last_conn == c)
		last_conn = NULL;
	adit_conn_close(f->lower, why);
}

static void
conn_free(struct adit_conn *c)
{
	(void)c;
}

static const struct adit_conn_ops conn_ops = {
	.size = sizeof(conn_ops),
	.name = "fake",
	.read = conn_read,
	.writev = conn_writev,
	.shutdown = conn_shutdown,
	.close = conn_close,
	.free = conn_free,
};

static struct adit_conn *
conn_over(struct adit_worker *w, struct adit_conn *lower, const char *kind, const char *name)
{
	struct fake_conn *f = adit_conn_new(w, &conn_ops, sizeof(*f), 0);

	assert_non_null(f);
	f->lower = lower;
	snprintf(f->name, sizeof(f->name), "%s %s", kind, name);
	last_conn = &f->base;
	return &f->base;
}

struct adit_conn *
fakes_conn(struct adit_worker *w, const char *name)
{
	return conn_over(w, NULL, "conn", name);
}

struct adit_conn *
fakes_lower(const struct adit_conn *c)
{
	assert_ptr_equal(c->ops, &conn_ops);
	return ((const struct fake_conn *)(const void *)c)->lower;
}

/* ---- options ----------------------------------------------------------- */

struct fake_options {
	char	*fail, *file;
};

static bool
fails(const struct fake_options *o, const char *where)
{
	return o->fail && strcmp(o->fail, where) == 0;
}

static int
init(const struct fake_options *o, const char *kind, const struct adit_component *p,
     struct adit_err *e)
{
	note("init %s %s", kind, adit_component_name(p));
	if (fails(o, "silent"))
		return -EIO;
	if (!fails(o, "init"))
		return 0;
	if (o->file)
		return adit_err_set(e, -ENOENT, "file: %s is missing", o->file);
	return adit_err_set(e, ADIT_ECONFIG, "%s will not", kind);
}

#define OPTIONS(owner) \
	{ .name = "fail", .type = ADIT_OPT_STRING, .offset = offsetof(owner, options.fail) }, \
	{ .name = "file", .type = ADIT_OPT_STRING, .offset = offsetof(owner, options.file) }, \
	ADIT_OPT_END

/* ---- listener ---------------------------------------------------------- */

struct fake_listener {
	struct adit_listener	base;
	struct fake_options	options;
};

static const struct adit_opt listener_rows[] = { OPTIONS(struct fake_listener) };

static const struct fake_options *
listener_options(struct adit_listener *l)
{
	return &adit_container_of(l, struct fake_listener, base)->options;
}

static int
listener_init(struct adit_listener *l, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;
	int err = init(listener_options(l), "listener", l->component, e);

	if (err || !fails(listener_options(l), "unbound"))
		return err;
	err = adit_listener_can_bind(l, &why);
	return err ? adit_err_set(e, err, "%s", why.text) : 0;
}

static void
listener_fini(struct adit_listener *l)
{
	note("fini listener %s", adit_component_name(l->component));
}

static int
listener_open(struct adit_listener *l, struct adit_err *e)
{
	note("open listener %s at %s", adit_component_name(l->component), l->addr);
	if (fails(listener_options(l), "open"))
		return adit_err_set(e, -EADDRINUSE, "listen %s: in use", l->addr);
	open_listener = l;
	return 0;
}

static int
listener_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	note("start listener %s", adit_component_name(l->component));
	if (fails(listener_options(l), "start") && adit_worker_index(w) == 1)
		return adit_err_set(e, -EMFILE, "no descriptor");
	return 0;
}

static void
listener_stop(struct adit_listener *l, struct adit_worker *w)
{
	(void)w;
	note("stop listener %s", adit_component_name(l->component));
}

static void
listener_close(struct adit_listener *l)
{
	note("close listener %s", adit_component_name(l->component));
	if (open_listener == l)
		open_listener = NULL;
}

static const struct adit_listener_ops listener = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener),
		.kind = ADIT_LISTENER,
		.name = "fake",
		.instance = sizeof(struct fake_listener),
		.opts = listener_rows,
	},
	.open = listener_open,
	.start = listener_start,
	.stop = listener_stop,
	.close = listener_close,
	.init = listener_init,
	.fini = listener_fini,
};

/* ---- handler ----------------------------------------------------------- */

struct fake_handler {
	struct adit_handler	base;
	struct fake_options	options;
};

static const struct adit_opt handler_rows[] = { OPTIONS(struct fake_handler) };

static const struct fake_options *
handler_options(struct adit_handler *h)
{
	return &adit_container_of(h, struct fake_handler, base)->options;
}

static int
handler_init(struct adit_handler *h, struct adit_err *e)
{
	last_handler = h;
	return init(handler_options(h), "handler", h->component, e);
}

static void
handler_fini(struct adit_handler *h)
{
	note("fini handler %s", adit_component_name(h->component));
	if (last_handler == h)
		last_handler = NULL;
}

static int
handler_open(struct adit_handler *h, struct adit_err *e)
{
	note("open handler %s", adit_component_name(h->component));
	return fails(handler_options(h), "open") ? adit_err_set(e, -EADDRINUSE, "file: in use") : 0;
}

static void
handler_close(struct adit_handler *h)
{
	note("close handler %s", adit_component_name(h->component));
}

static void
handler_handle(struct adit_handler *h, struct adit_conn *c)
{
	note("handle %s %s", adit_component_name(h->component), c->ops->name);
	handled = c;
}

static bool
handler_shows_visitor(const struct adit_handler *h)
{
	(void)h;
	return shows_visitor;
}

static const struct adit_handler_ops handler = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(handler),
		.kind = ADIT_HANDLER,
		.name = "fake",
		.instance = sizeof(struct fake_handler),
		.opts = handler_rows,
	},
	.handle = handler_handle,
	.init = handler_init,
	.fini = handler_fini,
	.open = handler_open,
	.close = handler_close,
	.shows_visitor = handler_shows_visitor,
	.protocol = "fake/1",
};

/* ---- dialer ------------------------------------------------------------ */

struct fake_dialer {
	struct adit_dialer	base;
	struct fake_options	options;
};

static const struct adit_opt dialer_rows[] = { OPTIONS(struct fake_dialer) };

static const struct fake_options *
dialer_options(struct adit_dialer *d)
{
	return &adit_container_of(d, struct fake_dialer, base)->options;
}

static struct adit_conn *
dialer_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	const char *name = adit_component_name(d->component);

	note("dial %s %s:%u%s lane %u", name, req->host, req->port, req->via ? " via" : "",
	     req->lane);
	if (!fails(dialer_options(d), "dial"))
		return conn_over(req->worker, req->via, "dialed", name);
	adit_conn_close(req->via, -EHOSTUNREACH);
	adit_err_set(e, -EHOSTUNREACH, "no way");
	return NULL;
}

static int
dialer_init(struct adit_dialer *d, struct adit_err *e)
{
	const char *protocol = adit_component_protocol(d->component);

	if (protocol)
		note("protocol %s", protocol);
	return init(dialer_options(d), "dialer", d->component, e);
}

static void
dialer_fini(struct adit_dialer *d)
{
	note("fini dialer %s", adit_component_name(d->component));
}

static void
dialer_stop(struct adit_dialer *d, struct adit_worker *w)
{
	(void)w;
	note("stop dialer %s", adit_component_name(d->component));
}

static const struct adit_dialer_ops dialer = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(dialer),
		.kind = ADIT_DIALER,
		.name = "fake",
		.instance = sizeof(struct fake_dialer),
		.opts = dialer_rows,
	},
	.dial = dialer_dial,
	.init = dialer_init,
	.fini = dialer_fini,
	.stop = dialer_stop,
};

/* ---- connectors -------------------------------------------------------- */

struct fake_connector {
	struct adit_connector	base;
	struct fake_options	options;
};

static const struct adit_opt connector_rows[] = { OPTIONS(struct fake_connector) };

static const struct fake_options *
connector_options(struct adit_connector *n)
{
	return &adit_container_of(n, struct fake_connector, base)->options;
}

static struct adit_conn *
connector_connect(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *to,
		  const struct adit_addr *visitor, struct adit_err *e)
{
	const char *name = adit_component_name(n->component);
	char text[ADIT_ADDR_TEXT];

	note("connect %s %s:%u%s%s", name, to->host, to->port, visitor ? " for " : "",
	     visitor ? adit_addr_format(visitor, text) : "");
	if (!fails(connector_options(n), "connect"))
		return conn_over(adit_conn_worker(lower), lower, "connected", name);
	adit_conn_close(lower, -EPROTO);
	adit_err_set(e, -EPROTO, "does not fit");
	return NULL;
}

static struct adit_mux *
connector_bind(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *address,
	       struct adit_err *e)
{
	note("bind %s %s:%u%s", adit_component_name(n->component), address->host, address->port,
	     address->visitor_address ? " with visitors" : "");
	adit_conn_close(lower, 0);
	adit_err_set(e, -ECONNABORTED, "bound nothing");
	return NULL;
}

static int
connector_init(struct adit_connector *n, struct adit_err *e)
{
	return init(connector_options(n), "connector", n->component, e);
}

static void
connector_fini(struct adit_connector *n)
{
	note("fini connector %s", adit_component_name(n->component));
}

#define CONNECTOR(self, name_) \
	.base = { \
		.abi = ADIT_ABI, \
		.size = sizeof(self), \
		.kind = ADIT_CONNECTOR, \
		.name = name_, \
		.instance = sizeof(struct fake_connector), \
		.opts = connector_rows, \
	}, \
	.connect = connector_connect, .init = connector_init, .fini = connector_fini

static const struct adit_connector_ops connector = {
	CONNECTOR(connector, "fake"), .bind = connector_bind, .protocol = "bound/1",
};

static const struct adit_connector_ops connector_only = { CONNECTOR(connector_only, "fake1") };

/* ---- layer ------------------------------------------------------------- */

struct fake_layer {
	struct adit_layer	base;
	struct fake_options	options;
};

static const struct adit_opt layer_rows[] = {
	{ .name = "layerFail", .type = ADIT_OPT_STRING,
	  .offset = offsetof(struct fake_layer, options.fail) },
	{ .name = "layerFile", .type = ADIT_OPT_STRING,
	  .offset = offsetof(struct fake_layer, options.file) },
	ADIT_OPT_END,
};

static const struct fake_options *
layer_options(struct adit_layer *l)
{
	return &adit_container_of(l, struct fake_layer, base)->options;
}

static struct adit_conn *
layer_over(struct adit_layer *l, struct adit_conn *lower, struct adit_err *e)
{
	if (!fails(layer_options(l), "layer"))
		return conn_over(adit_conn_worker(lower), lower, "layer",
				 adit_component_name(l->component));
	adit_conn_close(lower, -EPROTO);
	adit_err_set(e, -EPROTO, "no layer");
	return NULL;
}

static struct adit_conn *
layer_client(struct adit_layer *l, struct adit_conn *lower, const char *host, struct adit_err *e)
{
	note("client layer of %s", host);
	return layer_over(l, lower, e);
}

static struct adit_conn *
layer_server(struct adit_layer *l, struct adit_conn *lower, struct adit_err *e)
{
	note("server layer");
	return layer_over(l, lower, e);
}

static int
layer_init(struct adit_layer *l, struct adit_err *e)
{
	return init(layer_options(l), l->server ? "server layer" : "client layer", l->component, e);
}

static void
layer_fini(struct adit_layer *l)
{
	note("fini layer %s", adit_component_name(l->component));
}

static const struct adit_layer_ops layer = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(layer),
		.kind = ADIT_LAYER,
		.name = "fake",
		.instance = sizeof(struct fake_layer),
		.opts = layer_rows,
	},
	.client = layer_client,
	.server = layer_server,
	.init = layer_init,
	.fini = layer_fini,
};

#define STACK(name_) \
	.base = { \
		.abi = ADIT_ABI, .size = sizeof(struct adit_stack), .kind = ADIT_STACK, \
		.name = name_, \
	}, \
	.over = "fake"

static const struct adit_stack stack = { STACK("faked"), .layers = { "fake" } };
static const struct adit_stack stack_twice = { STACK("faked2"), .layers = { "fake", "fake" } };
static const struct adit_stack stack_broken = { STACK("broken"), .layers = { "fake", "none" } };
static const struct adit_stack stack_mux = { STACK("muxed"), .mux = "none" };

void
fakes_register(struct registry *r)
{
	static const struct adit_plugin *const all[] = {
		&listener.base, &handler.base, &dialer.base, &connector.base, &connector_only.base,
		&layer.base, &stack.base, &stack_twice.base, &stack_broken.base, &stack_mux.base,
	};
	struct adit_err e = ADIT_ERR_INIT;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (registry_add(r, all[i], &e) < 0)
			fail_msg("%s", e.text);
	journal[0] = 0;
	last_conn = handled = NULL;
	shows_visitor = false;
}
