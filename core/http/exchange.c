#include <errno.h>

#include <adit/exchange.h>

#include "core/conn/conn.h"

static const struct adit_exchange_ops *
exchange_ops(const struct adit_exchange *x)
{
	const void *first = x->body.ops;

	return first;		/* body is the first member of the table */
}

/* As adit_conn_writev does for bytes. */
static int
exchange_refuse(const struct adit_exchange *x)
{
	int err = adit_conn_err(&x->body);

	if (err < 0)
		return err;
	return adit_conn_is_open(&x->body) ? 0 : -EAGAIN;
}

int
adit_exchange_send_head(struct adit_exchange *x, const struct adit_fields *f, unsigned flags)
{
	int err = exchange_refuse(x);

	if (err == 0)
		err = exchange_ops(x)->send_head(x, f, flags);
	if (err == -EAGAIN)
		conn_unready(&x->body, ADIT_WRITE);
	return err;
}

const struct adit_fields *
adit_exchange_head(struct adit_exchange *x)
{
	const struct adit_fields *f = exchange_ops(x)->head(x);

	if (!f && !adit_conn_err(&x->body))
		conn_unready(&x->body, ADIT_HEAD);
	return f;
}

int
adit_exchange_trailers(struct adit_exchange *x, const struct adit_fields *f)
{
	int err = exchange_refuse(x);

	if (err == 0)
		err = exchange_ops(x)->trailers(x, f);
	if (err == -EAGAIN)
		conn_unready(&x->body, ADIT_WRITE);
	return err;
}

int
adit_exchange_version(const struct adit_exchange *x)
{
	return exchange_ops(x)->version;
}

struct adit_exchange *
adit_exchange_of(struct adit_conn *c)
{
	if (!c || !(adit_conn_flags(c) & ADIT_CONN_EXCHANGE))
		return NULL;
	return adit_container_of(c, struct adit_exchange, body);
}

void *
adit_exchange_new(struct adit_worker *w, const struct adit_exchange_ops *ops, size_t size,
		  unsigned flags)
{
	return adit_conn_new(w, &ops->body, size, flags | ADIT_CONN_EXCHANGE);
}
