#include "core/http/front.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/http/fields.h"
#include "core/http/h1.h"
#include "core/http/respond.h"
#include "core/http/section.h"
#include "core/http/upgrade.h"

enum front_state {
	FRONT_OPENING,	/* far is not open, or takes no head yet */
	FRONT_ASKED,	/* the whole request is sent, and nothing of a response is there */
	FRONT_PUMPING,
	FRONT_OVER,	/* done is due */
};

struct front {
	struct adit_exchange		*near, *far;	/* owned; near may be NULL at the end */
	const struct adit_fields	*request;	/* borrowed; NULL once it is sent */
	struct adit_fields		*rewritten;	/* request as far has to have it; owned */
	struct http_upgrade		 upgrade;
	struct front_opts		 opts;
	void				(*done)(void *arg, const struct front_result *r);
	void				*arg;
	enum front_state		 state;
	bool				 whole;		/* the request's head was all of it */
	bool				 repeatable;
	bool				 tunnel;	/* it may become one: has an end each way */
	bool				 heard;		/* of the response */
	bool				 passed;	/* its final head, to near */
	bool				 request_ended, response_ended;
	bool				 expects;	/* a 100, before it goes on */
	bool				 unfinished;	/* see front_result */
	int				 status;
	struct adit_conn		*raw[2];	/* below near and far: left to the caller */
	struct adit_fields		*response;	/* a head on its way to near, owned */
	const struct adit_fields	*trailers[2];	/* request's, response's; borrowed */
	struct adit_pump		*pump;
	struct adit_pump_stats		 stats;
	struct adit_timer		*timer;		/* of the limits; then of done */
	uint64_t			 uploaded;	/* when the timer was set */
	int				 err;
	char				*why;		/* owned; or NULL */
};

/* ---- the end -------------------------------------------------------------------------- */

static void
front_free(struct front *f)
{
	adit_fields_free(f->response);
	adit_fields_free(f->rewritten);
	adit_timer_free(f->timer);
	free(f->why);
	free(f);
}

/*
 * Whether the request, if it was sent, may have been lost with its connection. Not of one that is
 * silent, whose target may be at work, nor of one that had begun to answer.
 */
static bool
front_was_lost(int err)
{
	return err != -ETIMEDOUT && err != -EBADMSG && err != ADIT_ETRUNCATED;
}

/*
 * Whether it may be sent to another. Of one that the far side says it has not looked at
 * (REFUSED_STREAM, H3_REQUEST_REJECTED, what is behind a GOAWAY: RFC 9113, 8.7) the method says
 * nothing.
 */
static bool
front_may_move(const struct front *f)
{
	if (f->heard)
		return false;
	if (f->request)
		return true;	/* it was not sent */
	return f->whole && (f->err == ADIT_EDRAINING || (f->repeatable && front_was_lost(f->err)));
}

/* near is closed, or the caller's again; far is closed. */
static void
front_report(struct front *f)
{
	struct front_result r = {
		.status = f->status, .stats = f->stats, .err = f->err, .sent = !f->request,
		.why = f->why,
	};
	int near_err = f->near ? adit_conn_err(&f->near->body) : 0;

	if ((f->response_ended || f->raw[0]) && !near_err)
		r.err = 0;	/* what else went wrong is the far side's, after its answer */
	r.by_near = r.err && near_err;
	r.unfinished = r.err == -ETIMEDOUT && f->unfinished;
	r.raw[0] = f->raw[0];
	r.raw[1] = f->raw[1];
	if (f->near && (f->passed || r.by_near)) {
		adit_conn_close(&f->near->body, r.err);
		f->near = NULL;
	}
	if (f->near)
		adit_conn_own(&f->near->body, NULL, NULL);
	r.near = f->near;
	r.again = r.near && front_may_move(f);
	f->done(f->arg, &r);
	front_free(f);
}

/* Reports from the loop: whoever calls may be in the middle of using f. */
static void
front_over(struct front *f, int err)
{
	f->state = FRONT_OVER;
	f->err = err;
	adit_timer_set(f->timer, 0);
}

/* Before there is a pump. */
static void
front_give_up(struct front *f, int err)
{
	const char *why = conn_failure(&f->far->body);

	f->why = why ? strdup(why) : NULL;
	adit_conn_want(&f->near->body, 0);
	adit_conn_close(&f->far->body, err);
	front_over(f, err);
}

static void
front_pumped(void *arg, const struct adit_pump_stats *stats)
{
	struct front *f = arg;

	f->stats = *stats;
	f->err = stats->err;
	if (!f->err && !f->response_ended && !f->raw[0])
		f->err = ADIT_ESTOPPED;
	front_report(f);
}

/* ---- limits ------------------------------------------------------------------------------ */

static void
front_limit(struct front *f, uint64_t ns)
{
	if (ns)
		adit_timer_set(f->timer, ns);
	else
		adit_timer_stop(f->timer);
}

/*
 * Whether a request that does not move is the visitor's to go on with: the pump waits for bytes of
 * its body, and he for nothing. One that may become a tunnel has no end before its answer.
 */
static bool
front_is_unfinished(const struct front *f)
{
	return !f->request_ended && !f->response_ended && !f->expects && !f->tunnel &&
	       adit_conn_wanted(&f->near->body) & ADIT_READ;
}

static void
front_tick(void *arg)
{
	struct front *f = arg;

	switch (f->state) {
	case FRONT_OPENING:
	case FRONT_ASKED:
		front_give_up(f, -ETIMEDOUT);
		break;
	case FRONT_PUMPING:
		if (adit_pump_stats(f->pump)->bytes[0] == f->uploaded) {
			f->unfinished = front_is_unfinished(f);
			adit_pump_stop(f->pump, f->response_ended ? 0 : -ETIMEDOUT);
			break;
		}
		f->uploaded = adit_pump_stats(f->pump)->bytes[0];
		f->expects = false;		/* he did not wait for it */
		front_limit(f, f->response_ended ? f->opts.half_closed : f->opts.head_timeout);
		break;
	case FRONT_OVER:
		front_report(f);
		break;
	}
}

/* ---- what the pump asks -------------------------------------------------------------------- */

/* A pointer to the trailers is good until the next head is asked for. */
static void
front_take_trailers(struct front *f, bool response)
{
	if (!f->trailers[response])
		f->trailers[response] = adit_exchange_head(response ? f->far : f->near);
}

/*
 * The far side answers for the request from now on: nothing of its head is needed any more, here
 * or at near, which lets go of it when it is asked for the next.
 */
static void
front_answered(struct front *f)
{
	front_take_trailers(f, false);
	if (f->opts.answered)
		f->opts.answered(f->arg);
}

/* The far side's next head as near is to have it. 0 and none: there is no other now. */
static int
front_take_head(struct front *f)
{
	const struct adit_fields *head;
	int err;

	if (f->trailers[1])
		return 0;
	head = adit_exchange_head(f->far);
	if (!head)
		return 0;
	if (!adit_fields_status(head)) {
		f->trailers[1] = head;
		return 0;
	}
	f->heard = true;
	f->response = adit_fields_copy(head);
	if (!f->response)
		return -ENOMEM;
	err = h1_strip_hop_by_hop(f->response, adit_fields_status(head) == 101);
	if (err == 0)
		err = http_upgrade_response(&f->upgrade, f->response);
	if (err == 0 && f->opts.edit)
		err = f->opts.edit(f->arg, f->response);
	return err;
}

static int
front_pass_response(struct front *f)
{
	int status, err = f->response ? 0 : front_take_head(f);

	while (err == 0 && f->response) {
		status = adit_fields_status(f->response);
		err = adit_exchange_send_head(f->near, f->response, 0);
		if (err < 0)
			break;
		adit_fields_free(f->response);
		f->response = NULL;
		f->expects = f->expects && status != 100;
		if (status >= 200 || status == 101) {
			f->passed = true;
			f->status = status;
			front_limit(f, 0);
			front_answered(f);
		}
		err = front_take_head(f);
	}
	return err;
}

/* A 101 was passed on, and as yet nothing behind it. 0, or -ENOMEM. */
static int
front_leave(struct front *f)
{
	if (!h1_may_leave(f->near) || !h1_may_leave(f->far))
		return 0;
	f->raw[0] = h1_leave(f->near);
	f->raw[1] = f->raw[0] ? h1_leave(f->far) : NULL;
	if (f->raw[1]) {
		adit_pump_stop(f->pump, 0);
		return 0;
	}
	adit_conn_close(f->raw[0], -ENOMEM);
	f->raw[0] = NULL;
	return -ENOMEM;
}

static int
front_head(void *arg, struct adit_conn *from, struct adit_conn *to)
{
	struct front *f = arg;
	int err;

	(void)to;
	if (from == &f->far->body) {
		err = front_pass_response(f);
		return err == 0 && f->opts.leave && f->status == 101 ? front_leave(f) : err;
	}
	front_take_trailers(f, false);
	return 0;
}

/*
 * Trailers go where there is room for them: what cannot carry any goes without (RFC 9110, 6.5.1).
 */
static int
front_ended(void *arg, struct adit_conn *from, struct adit_conn *to)
{
	struct front *f = arg;
	bool response = from == &f->far->body;
	const struct adit_fields **t = &f->trailers[response];
	int err = 0;

	front_take_trailers(f, response);
	if (*t)
		err = adit_exchange_trailers(adit_exchange_of(to), *t);
	if (err < 0 && err != -ENOTSUP)
		return err;
	*t = NULL;
	if (response) {
		f->response_ended = true;
		front_limit(f, f->opts.half_closed);
	} else {
		f->request_ended = true;
	}
	return 0;
}

static void
front_pump(struct front *f)
{
	const struct adit_pump_opts opts = {
		.size = sizeof(opts), .idle = f->opts.idle,
		/* That a request has ended says nothing of how long its response may take. */
		.half_closed = f->tunnel ? f->opts.half_closed : 0,
		.keep = ADIT_PUMP_KEEP_A, .ended = front_ended, .head = front_head,
	};

	f->state = FRONT_PUMPING;
	f->pump = adit_pump(&f->near->body, &f->far->body, &opts, front_pumped, f);
	if (f->pump)
		return;
	f->near = NULL;		/* both are closed */
	front_over(f, -ENOMEM);
}

/* ---- the request ----------------------------------------------------------------------------- */

/*
 * Whether the message whose head was taken has no body, for ADIT_HEAD_END: a version may know that
 * only as the body's end, so that is looked for, and bytes that come instead are given back. 1, 0
 * (there is one, or that is not known yet), or x's failure.
 */
static int
front_is_whole(struct adit_exchange *x)
{
	size_t len;
	void *scratch = adit_worker_scratch(adit_conn_worker(&x->body), &len);
	ssize_t n = adit_conn_read(&x->body, scratch, len);

	if (n > 0)
		n = adit_conn_unread(&x->body, scratch, (size_t)n);
	else if (n == 0)
		return 1;
	return n == -EAGAIN ? 0 : (int)n;
}

/*
 * An upgrade that far's version of HTTP asks for otherwise; or not at all, and then the request may
 * be whole. 0 or why not.
 */
static int
front_rewrite(struct front *f, int *whole)
{
	struct adit_text length = adit_fields_get(f->request, "Content-Length");
	int from = adit_exchange_version(f->near), to = adit_exchange_version(f->far), err = 0;
	bool body = length.s && strcmp(length.s, "0") != 0;

	if (!http_upgrade_differs(f->request, from, to))
		return 0;
	if (!f->rewritten) {
		f->rewritten = adit_fields_copy(f->request);
		if (!f->rewritten)
			return -ENOMEM;
		err = http_upgrade_request(&f->upgrade, f->rewritten, body);
	}
	*whole |= f->upgrade.way == UPGRADE_NONE && !body;
	return err;
}

static int
front_send_request(struct front *f, int *whole)
{
	const struct adit_fields *request;
	int err = front_rewrite(f, whole);

	if (err < 0)
		return err;
	request = f->rewritten ? f->rewritten : f->request;
	return adit_exchange_send_head(f->far, request, *whole ? ADIT_HEAD_END : 0);
}

static void
front_ask(struct front *f)
{
	int whole = front_is_whole(f->near), err;

	if (whole < 0) {
		front_give_up(f, whole);
		return;
	}
	err = front_send_request(f, &whole);
	if (err == -EAGAIN) {
		adit_conn_want(&f->far->body, ADIT_WRITE);
		return;
	}
	if (err < 0) {
		front_give_up(f, err);
		return;
	}
	f->request = NULL;
	f->whole = whole;
	front_limit(f, f->opts.head_timeout);
	if (!whole) {
		front_pump(f);
		return;
	}
	/* The pump would not look at near before there is something for it. */
	f->state = FRONT_ASKED;
	adit_conn_want(&f->far->body, ADIT_HEAD);
}

static void
front_far_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct front *f = owner;

	(void)events;
	if (adit_conn_err(far) && f->state == FRONT_OPENING)
		front_give_up(f, adit_conn_err(far));
	else if (f->state == FRONT_OPENING)
		front_ask(f);
	else if (f->state == FRONT_ASKED)
		front_pump(f);
}

/* Nothing is awaited of near but that it fails. */
static void
front_near_event(void *owner, struct adit_conn *near, unsigned events)
{
	struct front *f = owner;

	conn_unready(near, events);
	if (adit_conn_err(near))
		front_give_up(f, adit_conn_err(near));
}

struct front *
http_front(struct adit_exchange *near, struct adit_exchange *far, const struct adit_fields *request,
	   const struct front_opts *opts, void (*done)(void *arg, const struct front_result *r),
	   void *arg)
{
	struct front *f = calloc(1, sizeof(*f));

	if (f)
		f->timer = adit_timer_new(adit_conn_worker(&near->body), front_tick, f);
	if (!f || !f->timer) {
		free(f);
		adit_conn_close(&near->body, -ENOMEM);
		adit_conn_close(&far->body, -ENOMEM);
		return NULL;
	}
	f->near = near;
	f->far = far;
	f->request = request;
	f->repeatable = http_is_idempotent(adit_fields_control(request, ADIT_METHOD));
	f->tunnel = h1_wants_upgrade(request) || section_asked(request) == SECTION_ASKED_CONNECT;
	f->expects = adit_fields_has(request, "Expect", "100-continue");
	f->done = done;
	f->arg = arg;
	f->stats.side = -1;
	f->stats.how = "open";
	if (opts)
		f->opts = *opts;
	adit_conn_own(&near->body, front_near_event, f);
	adit_conn_want(&near->body, ADIT_WRITE);
	adit_conn_own(&far->body, front_far_event, f);
	adit_conn_want(&far->body, ADIT_OPEN);
	front_limit(f, f->opts.open_timeout);
	if (adit_conn_is_open(&far->body))
		front_ask(f);
	return f;
}

void
http_front_stop(struct front *f, int why)
{
	if (f->state == FRONT_PUMPING)
		adit_pump_stop(f->pump, why);
	else if (f->state != FRONT_OVER)
		front_give_up(f, why ? why : ADIT_ESTOPPED);
}
