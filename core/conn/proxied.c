#include "core/conn/proxied.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/opening.h"

/* ---- from a peer --------------------------------------------------------------------------- */

/* The header takes n bytes; 0: there is none. */
static int
proxied_take(struct proxied *p, struct adit_conn *c, const struct proxy_header *h, size_t n)
{
	struct adit_addr source = { .family = 0 };

	if (n && h->proxied)
		source = adit_addr_from((const struct sockaddr *)&h->src, sizeof(h->src));
	if (source.family)
		adit_conn_set_remote(c, &source);
	return p->len > n ? adit_conn_unread(c, p->buf + n, p->len - n) : 0;
}

int
proxied_read(struct proxied *p, struct adit_conn *c)
{
	for (;;) {
		struct proxy_header h;
		ssize_t n = p->len ? proxy_decode(p->buf, p->len, &h, NULL) : 0;

		if (n > 0 || n == -ENOMSG)
			return proxied_take(p, c, &h, n > 0 ? (size_t)n : 0);
		if (n < 0)
			return (int)n;
		if (p->len == sizeof(p->buf))
			return -EBADMSG;
		n = adit_conn_read(c, p->buf + p->len, sizeof(p->buf) - p->len);
		if (n <= 0)
			return n ? (int)n : -ESHUTDOWN;
		p->len += (size_t)n;
	}
}

/* ---- to a node ------------------------------------------------------------------------- */

struct announcing {
	struct adit_conn	*conn;		/* the caller's */
	struct adit_conn	*lower;		/* owned */
	char			 text[PROXY_ENCODED_MAX];
	size_t			 len;
};

static void
announcing_cancelled(void *arg)
{
	struct announcing *a = arg;

	adit_conn_close(a->lower, -ECONNABORTED);
	free(a);
}

static void
announcing_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct announcing *a = owner;
	struct adit_conn *c = a->conn;
	int err = adit_conn_err(lower);
	ssize_t n = err ? err : adit_conn_write(lower, a->text, a->len);

	(void)events;
	if (n >= 0 && (size_t)n < a->len)	/* a new conn takes it whole */
		n = -ENOBUFS;
	adit_conn_want(lower, 0);
	if (n < 0) {
		adit_conn_close(lower, (int)n);
		free(a);
		opening_fail(c, (int)n);
		return;
	}
	adit_conn_own(lower, NULL, NULL);
	free(a);
	opening_set(c, lower);
}

struct adit_conn *
proxied_conn(struct adit_conn *lower, unsigned version, const struct adit_addr *visitor)
{
	struct announcing *a = calloc(1, sizeof(*a));
	struct proxy_header h = { .version = version };
	ssize_t len;

	if (a)
		a->conn = opening_new(adit_conn_worker(lower), announcing_cancelled, a);
	if (!a || !a->conn) {
		free(a);
		adit_conn_close(lower, -ENOMEM);
		return NULL;
	}
	h.proxied = visitor && adit_addr_to(visitor, &h.src);
	len = proxy_encode(&h, a->text);
	a->len = len > 0 ? (size_t)len : 0;
	a->lower = lower;
	adit_conn_own(lower, announcing_event, a);
	adit_conn_want(lower, ADIT_OPEN);
	return a->conn;
}
