#include <errno.h>
#include <stdlib.h>

#include "core/conn/conn.h"
#include "core/conn/opening.h"
#include "core/tunnel/awaiting.h"

#define LATE_NS ADIT_SECONDS(1)
#define AGAIN_NS ADIT_MS(250)		/* somebody else may have come meanwhile */

struct await {
	struct awaiting		*all;
	struct adit_conn	*conn;		/* the opening one, who asked has it; borrowed */
	struct adit_conn	*stream;	/* owned */
	uint64_t		 since;
	TAILQ_ENTRY(await)	 entry;
};

static void
await_free(struct await *w)
{
	TAILQ_REMOVE(&w->all->opens, w, entry);
	if (TAILQ_EMPTY(&w->all->opens))
		adit_timer_stop(w->all->timer);
	free(w);
}

static void
await_cancelled(void *arg)
{
	struct await *w = arg;
	struct adit_conn *stream = w->stream;

	await_free(w);
	adit_conn_close(stream, -ECANCELED);
}

static void
await_fail(struct await *w, int err)
{
	struct adit_conn *conn = w->conn, *stream = w->stream;

	await_free(w);
	adit_conn_close(stream, err);
	opening_fail(conn, err);
}

static void
awaiting_tick(void *arg)
{
	struct awaiting *a = arg;
	uint64_t now = adit_now();
	struct await *w = TAILQ_FIRST(&a->opens);

	if (!w)
		return;
	if (now - w->since < LATE_NS) {
		adit_timer_set(a->timer, LATE_NS - (now - w->since));
		return;
	}
	adit_timer_set(a->timer, AGAIN_NS);
	if (!a->late(a->arg))
		return;
	while ((w = TAILQ_FIRST(&a->opens)) && now - w->since >= LATE_NS)
		await_fail(w, ADIT_EPEERDEAD);
}

struct adit_conn *
awaiting_add(struct awaiting *a, struct adit_conn *stream, struct adit_err *e)
{
	struct adit_worker *worker = adit_conn_worker(stream);
	struct await *w = calloc(1, sizeof(*w));

	if (!a->timer)
		a->timer = adit_timer_new(worker, awaiting_tick, a);
	if (w && a->timer)
		w->conn = opening_new(worker, await_cancelled, w);
	if (!w || !w->conn) {
		free(w);
		adit_conn_close(stream, -ENOMEM);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	w->all = a;
	w->stream = stream;
	w->since = adit_now();
	if (conn_is_early(stream)) {
		opening_take_early(w->conn);
		opening_try(w->conn, stream);
	}
	if (TAILQ_EMPTY(&a->opens))
		adit_timer_set(a->timer, LATE_NS);
	TAILQ_INSERT_TAIL(&a->opens, w, entry);
	return w->conn;
}

void
awaiting_heard(struct awaiting *a)
{
	struct await *w;

	while ((w = TAILQ_FIRST(&a->opens))) {
		struct adit_conn *conn = w->conn, *stream = w->stream;

		await_free(w);
		opening_set(conn, stream);
	}
}

bool
awaiting_any(const struct awaiting *a)
{
	return !TAILQ_EMPTY(&a->opens);
}

void
awaiting_init(struct awaiting *a, bool (*late)(void *arg), void *arg)
{
	*a = (struct awaiting){ .late = late, .arg = arg };
	TAILQ_INIT(&a->opens);
}

void
awaiting_fini(struct awaiting *a, int err)
{
	struct await *w;

	while ((w = TAILQ_FIRST(&a->opens)))
		await_fail(w, err);
	adit_timer_free(a->timer);
	a->timer = NULL;
}
