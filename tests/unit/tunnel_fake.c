#include "tests/unit/tunnel_fake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/conn/opening.h"

#define PAIR_CAP 32768

struct echo {
	char	bytes[4096];
	size_t	len;
};

static void
echo_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct echo *e = owner;
	ssize_t n;

	(void)events;
	if (!e->len) {
		n = adit_conn_read(c, e->bytes, sizeof(e->bytes));
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			adit_conn_close(c, (int)n);
			free(e);
			return;
		}
		e->len = (size_t)n;
	}
	n = adit_conn_write(c, e->bytes, e->len);
	if (n == (ssize_t)e->len || n == -EAGAIN) {
		e->len = n > 0 ? 0 : e->len;
		adit_conn_want(c, e->len ? ADIT_WRITE : ADIT_READ);
		return;
	}
	adit_conn_close(c, n < 0 ? (int)n : -EIO);
	free(e);
}

/* The near end of an echo. */
static struct adit_conn *
echo_new(struct adit_worker *w)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct adit_conn *near, *far;

	if (!e || adit_conn_pair(w, w, PAIR_CAP, &near, &far) < 0)
		abort();
	adit_conn_own(far, echo_event, e);
	adit_conn_want(far, ADIT_READ);
	return near;
}

static void
fake_cancelled(void *arg)
{
	struct fake *f = arg;

	f->waiting = NULL;
}

static struct adit_conn *
fake_open(void *session, const struct adit_open *req, struct adit_err *e)
{
	struct fake *f = session;
	struct adit_conn *c;

	f->opened++;
	snprintf(f->host, sizeof(f->host), "%s", req->host ? req->host : "");
	if (f->refuse) {
		adit_err_set(e, f->refuse, "refused");
		return NULL;
	}
	if (!f->later)
		return echo_new(f->worker);
	c = opening_new(f->worker, fake_cancelled, f);
	f->waiting = c;
	return c;
}

void
fake_join(struct fake *f, const char *tunnel, enum adit_network network, unsigned weight)
{
	const struct adit_member m = {
		.tunnel = tunnel,
		.network = network,
		.weight = weight,
		.client = f->client,
		.open = fake_open,
		.session = f,
	};

	f->number = adit_tunnel_join(f->worker, &m);
	if (!f->number)
		abort();
}

void
fake_leave(struct fake *f)
{
	adit_tunnel_leave(f->worker, f->number);
	f->number = 0;
}

void
fake_decide(struct fake *f, int err)
{
	struct adit_conn *c = f->waiting;

	if (!c)
		abort();
	f->waiting = NULL;
	if (err)
		opening_fail(c, err);
	else
		opening_set(c, echo_new(f->worker));
}
