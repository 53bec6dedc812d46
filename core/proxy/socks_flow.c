#include "core/proxy/socks_flow.h"

#include <errno.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/udp_dial.h"
#include "core/proxy/inbox.h"
#include "core/runtime/queue.h"
#include "core/wire/socks.h"

#define PIECES 16		/* of one datagram, its header included */

struct socks_flow {
	struct adit_conn	 base;
	struct adit_conn	*control;	/* owned, as is: */
	struct adit_conn	*socket;	/* both NULL once closed */
	uint8_t			 head[SOCKS5_UDP_HEADER_MAX];	/* of all that is sent */
	size_t			 head_len;
	bool			 open;
};

static struct socks_flow *
socks_flow_of(struct adit_conn *c)
{
	return adit_container_of(c, struct socks_flow, base);
}

/* ---- as a conn ----------------------------------------------------------------------- */

/* In place: the header of what came is as long as the target's address. */
static ssize_t
socks_flow_read(struct adit_conn *c, void *buf, size_t len)
{
	for (;;) {
		ssize_t n = adit_conn_read(socks_flow_of(c)->socket, buf, len);
		struct dgram d;

		if (n < 0)
			return n;
		if (socks5_decode_udp(buf, (size_t)n, &d, NULL) < 0)
			continue;
		memmove(buf, d.payload, d.len);
		return (ssize_t)d.len;
	}
}

static ssize_t
socks_flow_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct socks_flow *f = socks_flow_of(c);
	struct iovec all[PIECES] = { { .iov_base = f->head, .iov_len = f->head_len } };
	ssize_t took;

	if (n >= PIECES)
		return -EINVAL;
	memcpy(all + 1, iov, (size_t)n * sizeof(*iov));
	took = adit_conn_writev(f->socket, all, n + 1);
	return took < 0 ? took : (ssize_t)iov_total(iov, n);
}

static int
socks_flow_shutdown(struct adit_conn *c)
{
	(void)c;
	return 0;		/* a flow has no end */
}

static void
socks_flow_close(struct adit_conn *c, int why)
{
	struct socks_flow *f = socks_flow_of(c);

	adit_conn_close(f->socket, why);
	adit_conn_close(f->control, 0);
	f->socket = f->control = NULL;
}

static void
socks_flow_free(struct adit_conn *c)
{
	(void)c;
}

static void
socks_flow_want(struct adit_conn *c)
{
	struct socks_flow *f = socks_flow_of(c);

	if (f->open && f->socket)
		adit_conn_want(f->socket, adit_conn_wanted(c) & (ADIT_READ | ADIT_WRITE));
}

static const struct adit_conn_ops socks_flow_ops = {
	.size = sizeof(socks_flow_ops),
	.name = "socks-udp",
	.read = socks_flow_read,
	.writev = socks_flow_writev,
	.shutdown = socks_flow_shutdown,
	.close = socks_flow_close,
	.free = socks_flow_free,
	.want = socks_flow_want,
};

/* ---- below ------------------------------------------------------------------------------ */

static void
socks_flow_fail(struct socks_flow *f, struct adit_conn *lower, int err)
{
	adit_conn_want(f->socket, 0);
	adit_conn_want(f->control, 0);
	conn_explain(&f->base, conn_failure(lower));
	adit_conn_fail(&f->base, err);
}

static void
socks_flow_control(void *owner, struct adit_conn *control, unsigned events)
{
	int err = inbox_ignore(control);

	(void)events;
	if (err != -EAGAIN)
		socks_flow_fail(owner, control, err);
}

static void
socks_flow_event(void *owner, struct adit_conn *socket, unsigned events)
{
	struct socks_flow *f = owner;
	int err = adit_conn_err(socket);

	if (err) {
		socks_flow_fail(f, socket, err);
		return;
	}
	if (!f->open) {
		f->open = true;
		events = ADIT_OPEN | ADIT_READ | ADIT_WRITE;
		adit_conn_set_local(&f->base, adit_conn_local(socket));
		adit_conn_set_remote(&f->base, adit_conn_remote(socket));
	}
	adit_conn_ready(&f->base, events);
	socks_flow_want(&f->base);
}

/* ---- making one ------------------------------------------------------------------------- */

/* The socket, connected: the kernel drops what comes from anywhere else (RFC 1928, 7). */
static struct adit_conn *
dial_relay(struct adit_conn *control, const struct wire_addr *relay, struct adit_err *e)
{
	struct adit_target to = { .network = ADIT_UDP, .port = relay->port };
	const struct adit_addr *far = adit_conn_remote(control);
	char host[WIRE_ADDR_TEXT], ip[ADIT_ADDR_TEXT];

	if (wire_addr_is_any(relay)) {
		to.host = adit_addr_format_ip(far, ip);
		if (far->family != AF_INET && far->family != AF_INET6) {
			adit_err_set(e, ADIT_ETARGET, "the proxy does not say where it takes UDP");
			return NULL;
		}
	} else if (inbox_target(relay, host, &to) < 0) {
		adit_err_set(e, -EBADMSG, "the proxy takes UDP where there can be no host");
		return NULL;
	}
	return udp_dial(adit_conn_worker(control), to.host, to.port, e);
}

static struct socks_flow *
socks_flow_new(struct adit_worker *w)
{
	return adit_conn_new(w, &socks_flow_ops, sizeof(struct socks_flow), ADIT_CONN_DGRAM);
}

struct adit_conn *
socks_flow(struct adit_conn *control, const struct wire_addr *relay, const struct wire_addr *to,
	   struct adit_err *e)
{
	struct adit_conn *socket = dial_relay(control, relay, e);
	struct socks_flow *f = socket ? socks_flow_new(adit_conn_worker(control)) : NULL;

	if (!f) {
		if (socket)
			adit_err_set(e, -ENOMEM, "out of memory");
		adit_conn_close(socket, -ENOMEM);
		adit_conn_close(control, 0);
		return NULL;
	}
	f->control = control;
	f->socket = socket;
	f->head_len = socks5_encode_udp_header(to, f->head);
	adit_conn_own(control, socks_flow_control, f);
	adit_conn_want(control, ADIT_READ);
	adit_conn_own(socket, socks_flow_event, f);
	adit_conn_want(socket, ADIT_OPEN);
	return &f->base;
}
