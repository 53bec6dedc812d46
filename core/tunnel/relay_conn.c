#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/tunnel/relay_conn.h"

/* ---- reading ------------------------------------------------------------------ */

int
relay_read(struct collected *r, struct adit_conn *c, struct relay_msg *out, const char **why)
{
	for (;;) {
		ssize_t n = relay_decode(r->buf, r->len, out, why);
		int err;

		if (n < 0)
			return (int)n;
		if (n > 0)	/* never more was read than the message needs */
			return 1;
		err = collect_more(r, c, relay_need(r->buf, r->len));
		if (err < 0)
			return err;
	}
}

int
relay_send(struct adit_conn *c, const struct relay_msg *m)
{
	uint8_t small[1024], *buf = small;
	ssize_t size = relay_size(m), n;

	if (size < 0)
		return (int)size;
	if ((size_t)size > sizeof(small)) {
		buf = malloc((size_t)size);
		if (!buf)
			return -ENOMEM;
	}
	size = relay_encode(m, buf, (size_t)size);
	n = size < 0 ? size : conn_write_now(c, buf, (size_t)size);
	if (buf != small)
		free(buf);
	if (n < 0)
		return (int)n;
	return n == size ? 0 : -ENOBUFS;
}

static const struct {
	enum relay_status	status;
	int			err;
} statuses[] = {
	{ RELAY_BAD_REQUEST, -EBADMSG },
	{ RELAY_UNAUTHORIZED, ADIT_EUNAUTH },
	{ RELAY_FORBIDDEN, ADIT_EFORBIDDEN },
	{ RELAY_TIMEOUT, -ETIMEDOUT },
	{ RELAY_SERVICE_UNAVAILABLE, ADIT_ENOTUNNEL },
	{ RELAY_SERVICE_UNAVAILABLE, ADIT_ENORULES },
	{ RELAY_HOST_UNREACHABLE, ADIT_ENOROUTE },
	{ RELAY_NETWORK_UNREACHABLE, ADIT_ETARGET },
	{ RELAY_INTERNAL_ERROR, ADIT_EREFUSED },
};

int
relay_status_error(unsigned status)
{
	if (status == RELAY_OK)
		return 0;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].err;
	return ADIT_EREFUSED;
}

unsigned
relay_error_status(int err)
{
	if (!err)
		return RELAY_OK;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i].err == err)
			return statuses[i].status;
	return RELAY_SERVICE_UNAVAILABLE;
}

/* ---- the layer ------------------------------------------------------------------ */

struct relay_conn {
	struct adit_conn	 base;
	struct adit_conn	*lower;		/* owned */
	struct collected	 in;
	struct relay_msg	*request;	/* until lower is open */
	uint8_t			*out;		/* encoded, while it is being sent */
	size_t			 out_len, out_sent;
	bool			 open;
	bool			 early;		/* open before the answer */
	bool			 awaiting;	/* open, and the answer has not come */
	relay_head_cb		*head;
	void			*arg;
};

static struct relay_conn *
relay_of(struct adit_conn *c)
{
	return adit_container_of(c, struct relay_conn, base);
}

/* It may hold credentials. */
static void
relay_forget_request(struct relay_conn *r)
{
	if (r->out)
		explicit_bzero(r->out, r->out_len);
	free(r->out);
	r->out = NULL;
}

/* 0: all is sent. */
static int
relay_flush(struct relay_conn *r)
{
	while (r->out) {
		ssize_t n = adit_conn_write(r->lower, r->out + r->out_sent,
					    r->out_len - r->out_sent);

		if (n < 0)
			return (int)n;
		r->out_sent += (size_t)n;
		if (r->out_sent == r->out_len)
			relay_forget_request(r);
	}
	return 0;
}

static int
relay_take_head(struct relay_conn *r)
{
	struct relay_msg m;
	const char *why = NULL;
	int err = relay_read(&r->in, r->lower, &m, &why);

	if (err < 0)
		return err;
	err = relay_status_error(m.code);
	if (!err && r->head)
		err = r->head(r->arg, &r->base, &m);
	collected_fini(&r->in);
	return err;
}

static int
relay_encode_request(struct relay_conn *r)
{
	struct relay_msg *m = r->request;
	struct sockaddr_storage ss;
	ssize_t size;

	if (!m)
		return 0;
	if (m->n_addr && m->addr[0].type == WIRE_ADDR_NONE &&
	    (!adit_addr_to(adit_conn_local(r->lower), &ss) ||
	     wire_addr_from_sockaddr((struct sockaddr *)&ss, &m->addr[0]) < 0))
		m->addr[0] = (struct wire_addr){ .type = WIRE_ADDR_IPV4 };
	size = relay_size(m);
	if (size < 0)
		return (int)size;
	r->out = malloc((size_t)size);
	if (!r->out)
		return -ENOMEM;
	r->out_len = (size_t)size;
	relay_encode(m, r->out, r->out_len);
	explicit_bzero(m, sizeof(*m));
	free(m);
	r->request = NULL;
	return 0;
}

static int
relay_shake_hands(struct relay_conn *r)
{
	int err = adit_conn_err(r->lower);

	if (err)
		return err;
	if (!adit_conn_is_open(r->lower))
		return -EAGAIN;
	err = relay_encode_request(r);
	if (!err)
		err = relay_flush(r);
	r->awaiting = !err && r->early;
	return err || r->early ? err : relay_take_head(r);
}

static void
relay_open(struct relay_conn *r)
{
	r->open = true;
	if (!adit_conn_remote(&r->base)->family)
		adit_conn_set_remote(&r->base, adit_conn_remote(r->lower));
	adit_conn_set_local(&r->base, adit_conn_local(r->lower));
	adit_conn_add_flags(&r->base, adit_conn_flags(r->lower) & ADIT_CONN_SECURE);
	adit_conn_deadline(&r->base, 0);
	adit_conn_ready(&r->base, ADIT_OPEN | ADIT_READ | ADIT_WRITE);
	adit_conn_want(r->lower, adit_conn_wanted(&r->base) & (ADIT_READ | ADIT_WRITE));
}

static void
relay_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct relay_conn *r = owner;
	int err;

	if (r->open) {
		adit_conn_ready(&r->base, events & (ADIT_READ | ADIT_WRITE));
		return;
	}
	err = relay_shake_hands(r);
	if (err == -EAGAIN) {
		if (!adit_conn_is_open(lower))
			adit_conn_want(lower, ADIT_OPEN);
		else
			adit_conn_want(lower, r->out ? ADIT_WRITE : ADIT_READ);
	} else if (err < 0) {
		adit_conn_want(lower, 0);
		conn_explain(&r->base, conn_failure(lower));
		adit_conn_fail(&r->base, err);
	} else {
		relay_open(r);
	}
}

static ssize_t
relay_conn_read(struct adit_conn *c, void *buf, size_t len)
{
	struct relay_conn *r = relay_of(c);
	int err;

	if (!r->open)
		return -EAGAIN;
	if (r->awaiting) {
		err = relay_take_head(r);
		if (err < 0)
			return err;
		r->awaiting = false;
	}
	return adit_conn_read(r->lower, buf, len);
}

static size_t
relay_pour(struct adit_conn *c, struct adit_conn *to, size_t len)
{
	struct relay_conn *r = relay_of(c);

	return r->open && !r->awaiting ? conn_pour(r->lower, to, len) : 0;
}

static ssize_t
relay_writev(struct adit_conn *c, const struct iovec *iov, int n)
{
	struct relay_conn *r = relay_of(c);

	return r->open ? adit_conn_writev(r->lower, iov, n) : -EAGAIN;
}

static int
relay_shutdown(struct adit_conn *c)
{
	return adit_conn_shutdown(relay_of(c)->lower);
}

static void
relay_close(struct adit_conn *c, int why)
{
	struct relay_conn *r = relay_of(c);

	/* An exchange of heads that was not finished has no polite end. */
	if (!r->lower)
		return;
	adit_conn_close(r->lower, why ? why : r->open ? 0 : -ECONNABORTED);
	r->lower = NULL;
}

static void
relay_free(struct adit_conn *c)
{
	struct relay_conn *r = relay_of(c);

	collected_fini(&r->in);
	if (r->request)
		explicit_bzero(r->request, sizeof(*r->request));
	free(r->request);
	relay_forget_request(r);
}

static void
relay_want(struct adit_conn *c)
{
	struct relay_conn *r = relay_of(c);

	if (r->open && r->lower)
		adit_conn_want(r->lower, adit_conn_wanted(c) & (ADIT_READ | ADIT_WRITE));
}

static int
relay_splice_fd(struct adit_conn *c, unsigned dir)
{
	struct relay_conn *r = relay_of(c);

	return r->open && !r->awaiting ? adit_conn_splice_fd(r->lower, dir) : -1;
}

static const struct adit_conn_ops relay_ops = {
	.size = sizeof(relay_ops),
	.name = "relay",
	.read = relay_conn_read,
	.writev = relay_writev,
	.shutdown = relay_shutdown,
	.close = relay_close,
	.free = relay_free,
	.want = relay_want,
	.splice_fd = relay_splice_fd,
	.pour = relay_pour,
};

struct adit_conn *
relay_conn(struct adit_conn *lower, const struct relay_msg *request, unsigned ms,
	   relay_head_cb *head, void *arg)
{
	struct relay_conn *r = adit_conn_new(adit_conn_worker(lower), &relay_ops, sizeof(*r), 0);

	if (!r) {
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	r->lower = lower;
	r->head = head;
	r->arg = arg;
	if (request) {
		r->request = malloc(sizeof(*request));
		if (!r->request) {
			adit_conn_close(&r->base, -ENOMEM);
			return NULL;
		}
		*r->request = *request;
	}
	adit_conn_own(lower, relay_event, r);
	adit_conn_want(lower, request ? ADIT_OPEN : ADIT_READ);
	adit_conn_deadline(&r->base, ms);
	return &r->base;
}

struct adit_conn *
relay_conn_early(struct adit_conn *lower, const struct relay_msg *request, unsigned ms)
{
	struct adit_conn *c = relay_conn(lower, request, ms, NULL, NULL);

	if (c)
		relay_of(c)->early = true;
	return c;
}

struct adit_conn *
relay_conn_unwrap(struct adit_conn *c)
{
	struct relay_conn *r = relay_of(c);
	struct adit_conn *lower = r->lower;

	adit_conn_want(lower, 0);
	adit_conn_own(lower, NULL, NULL);
	r->lower = NULL;
	adit_conn_close(c, 0);
	return lower;
}

/* ---- heads of streams -------------------------------------------------------------- */

static void
relay_set_remote(struct adit_conn *c, const struct wire_addr *src)
{
	struct adit_addr a = { .port = src->port };

	/* A name is not resolved: who the visitor is, is for logs and access lists only. */
	if (src->type == WIRE_ADDR_IPV4)
		a.family = AF_INET;
	else if (src->type == WIRE_ADDR_IPV6)
		a.family = AF_INET6;
	else
		return;
	memcpy(a.ip, src->ip, src->type == WIRE_ADDR_IPV4 ? 4 : 16);
	adit_conn_set_remote(c, &a);
}

int
relay_stream_head(void *arg, struct adit_conn *c, const struct relay_msg *m)
{
	char host[WIRE_ADDR_TEXT];

	(void)arg;
	if (m->n_addr > 0)
		relay_set_remote(c, &m->addr[0]);
	if (m->n_addr < 2)
		return 0;
	wire_addr_host(&m->addr[1], host);
	return adit_conn_set_asked(c, host, m->addr[1].port);
}
