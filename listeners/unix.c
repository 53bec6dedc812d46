/* listener unix: connections at a path of this machine. */
#include <errno.h>
#include <stdlib.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/conn/listen.h"
#include "core/conn/tcp.h"
#include "core/service/claim.h"
#include "core/service/component.h"

struct unix_port {
	struct adit_listener	*listener;
	struct adit_worker	*worker;
	struct acceptor		*acceptor;
};

struct unix_listener {
	struct adit_listener	 base;
	char			*mode_text;
	unsigned		 mode;				/* 0: as the umask has it */
	struct listen_set	*sockets;			/* between open and close */
	struct unix_port	 ports[ADIT_WORKERS_MAX];	/* each worker's own */
};

/* gost takes an integer too: one that begins with 0 is octal, as in C. */
static int
unix_read_mode(const char *text, unsigned *mode)
{
	unsigned long value;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	value = strtoul(text, &end, *text == '0' ? 8 : 10);
	if (*end || value > 0777)
		return -EINVAL;
	*mode = (unsigned)value;
	return 0;
}

static int
unix_check_mode(const char *text, struct adit_err *e)
{
	unsigned mode;

	if (unix_read_mode(text, &mode) == 0)
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "expected a file mode like \"0660\", not \"%s\"",
			    text);
}

static const struct adit_opt unix_listener_opts[] = {
	{ .name = "mode", .type = ADIT_OPT_STRING,
	  .offset = offsetof(struct unix_listener, mode_text), .check = unix_check_mode,
	  .help = "of the socket's file, as \"0660\"; without it what the umask leaves" },
	ADIT_OPT_END,
};

static struct unix_listener *
unix_listener_of(struct adit_listener *l)
{
	return adit_container_of(l, struct unix_listener, base);
}

static int
unix_listener_init(struct adit_listener *l, struct adit_err *e)
{
	struct unix_listener *u = unix_listener_of(l);

	if (!l->addr || !*l->addr)
		return adit_err_set(e, ADIT_ECONFIG, "listener unix needs a path for addr");
	if (u->mode_text && unix_read_mode(u->mode_text, &u->mode) < 0)
		return unix_check_mode(u->mode_text, e);
	return claim_address(l->component, l->addr, LISTEN_UNIX, "addr");
}

static int
unix_listener_open(struct adit_listener *l, struct adit_err *e)
{
	struct unix_listener *u = unix_listener_of(l);

	u->sockets = listen_get_unix(l->component->sockets, l->addr, u->mode, e);
	return u->sockets ? 0 : e->code;
}

/* A socket that was open before may have had another mode. */
static void
unix_listener_settle(struct adit_listener *l)
{
	struct unix_listener *u = unix_listener_of(l);
	struct adit_err e = ADIT_ERR_INIT;

	if (listen_set_mode(u->sockets, u->mode, &e) < 0)
		adit_log(adit_component_log(l->component), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("service", adit_component_name(l->component))),
			 "mode: %s", e.text);
}

static void
unix_listener_accepted(void *arg, int fd)
{
	struct unix_port *port = arg;
	struct adit_conn *c = tcp_conn(port->worker, fd, false);

	if (c)
		adit_accept(port->listener, c);
}

static int
unix_listener_start(struct adit_listener *l, struct adit_worker *w, struct adit_err *e)
{
	struct unix_listener *u = unix_listener_of(l);
	struct unix_port *port = &u->ports[adit_worker_index(w)];

	*port = (struct unix_port){ .listener = l, .worker = w };
	port->acceptor = acceptor_new(w, u->sockets, unix_listener_accepted, port, e);
	return port->acceptor ? 0 : e->code;
}

static void
unix_listener_stop(struct adit_listener *l, struct adit_worker *w)
{
	struct unix_port *port = &unix_listener_of(l)->ports[adit_worker_index(w)];

	acceptor_free(port->acceptor);
	port->acceptor = NULL;
}

static void
unix_listener_close(struct adit_listener *l)
{
	struct unix_listener *u = unix_listener_of(l);

	listen_put(l->component->sockets, u->sockets);
	u->sockets = NULL;
}

const struct adit_listener_ops listener_unix = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(listener_unix),
		.kind = ADIT_LISTENER,
		.name = "unix",
		.help = "a Unix socket: the address is its path",
		.instance = sizeof(struct unix_listener),
		.opts = unix_listener_opts,
	},
	.open = unix_listener_open,
	.start = unix_listener_start,
	.stop = unix_listener_stop,
	.close = unix_listener_close,
	.init = unix_listener_init,
	.network = "unix",
	.settle = unix_listener_settle,
};
