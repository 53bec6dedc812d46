#include "core/conn/told.h"

#include <errno.h>
#include <stdlib.h>

#include "core/conn/conn.h"
#include "core/conn/opening.h"
#include "core/conn/peek.h"

#define TOLD_MAX 2048

/* While it is not known. */
struct telling {
	struct told		 how;
	struct adit_conn	*lower;		/* owned */
	struct adit_conn	*conn;		/* the owner's, opening */
	struct peek		 first;
	bool			 limited;	/* lower is open, and has its limit */
};

static void
telling_free(struct telling *t)
{
	peek_fini(&t->first);
	free(t);
}

static void
telling_cancelled(void *arg)
{
	struct telling *t = arg;

	adit_conn_close(t->lower, -ECANCELED);
	telling_free(t);
}

static void
telling_fail(struct telling *t, int err, const char *text)
{
	conn_explain(t->conn, text);
	opening_fail(t->conn, err);
	telling_free(t);
}

static void
telling_lose(struct telling *t, int err)
{
	adit_conn_close(t->lower, err);
	telling_fail(t, err, conn_failure(t->lower));	/* there until the turn ends */
}

/* Its bytes are given back, and it becomes what they say. */
static void
telling_end(struct telling *t, bool layered)
{
	struct adit_err e = ADIT_ERR_INIT;
	int err = peek_give_back(&t->first, t->lower);

	if (err) {
		telling_lose(t, err);
		return;
	}
	adit_conn_deadline(t->lower, 0);
	adit_conn_own(t->lower, NULL, NULL);
	adit_conn_want(t->lower, 0);
	if (layered)
		t->lower = t->how.over(t->how.arg, t->lower, &e);
	if (!t->lower) {
		telling_fail(t, e.code ? e.code : -ENOMEM, e.text);
		return;
	}
	opening_set(t->conn, t->lower);
	telling_free(t);
}

/* 1, 0, -EAGAIN, or a failure. One that ends before it is known begins nothing. */
static int
telling_look(struct telling *t)
{
	int err, told = -EAGAIN;

	do {
		err = peek_read(&t->first, t->lower, TOLD_MAX);
		if (!err)
			told = t->how.begins(t->how.arg, t->first.buf, t->first.len);
	} while (!err && told == -EAGAIN);
	if (err == -ESHUTDOWN || err == -EMSGSIZE)
		return 0;
	return err ? err : told;
}

static void
telling_event(void *owner, struct adit_conn *lower, unsigned events)
{
	struct telling *t = owner;
	int told;

	(void)events;
	if (!t->limited && adit_conn_is_open(lower)) {
		t->limited = true;
		adit_conn_deadline(lower, (unsigned)(t->how.ns / ADIT_MS(1)));
	}
	told = telling_look(t);
	if (told == -EAGAIN)
		adit_conn_want(lower, ADIT_READ);
	else if (told < 0)
		telling_lose(t, told);
	else
		telling_end(t, told);
}

struct adit_conn *
told_conn(struct adit_conn *lower, const struct told *how, struct adit_err *e)
{
	struct telling *t = calloc(1, sizeof(*t));

	if (t)
		t->conn = opening_new(adit_conn_worker(lower), telling_cancelled, t);
	if (!t || !t->conn) {
		free(t);
		adit_conn_close(lower, -ENOMEM);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	t->how = *how;
	t->lower = lower;
	adit_conn_set_remote(t->conn, adit_conn_remote(lower));
	adit_conn_own(lower, telling_event, t);
	adit_conn_want(lower, ADIT_OPEN | ADIT_READ);
	return t->conn;
}
