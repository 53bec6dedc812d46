#include "core/http/visitor.h"

#include <errno.h>
#include <string.h>

#include <adit/log.h>

#include "core/conn/ending.h"
#include "core/http/front.h"

/* The last line of it: who, since when, what so far. Borrows v. */
static struct ending
visitor_ending(const struct http_visitor *v)
{
	return (struct ending){
		.component = v->activity.component, .kind = v->ops->kind, .id = v->conn,
		.worker = v->worker, .remote = &v->remote, .host = *v->host ? v->host : NULL,
		.requests = v->requests, .status = v->status,
		.traffic = *adit_mux_traffic(v->front), .duration = adit_now() - v->born,
		.by = v->by, .how = v->how,
	};
}

void
http_visitor_ended(struct http_visitor *v, const char *by, const char *how)
{
	if (v->how)
		return;
	v->by = by;
	v->how = how;
}

void
http_visitor_see_end(struct http_visitor *v, const struct front_result *result)
{
	const char *near = v->ops->name, *far = v->ops->far;

	if (v->many)
		return;
	if (result->err && !result->near)
		http_visitor_ended(v, ending_by(result->err, result->by_near ? near : far),
				   ending_how(result->err));
	else if (result->status == 101)
		http_visitor_ended(v, ending_side(result->stats.side, near, far),
				   result->stats.how);
}

void
http_visitor_asked(struct http_visitor *v, const struct adit_fields *head)
{
	asked_begin(&v->asked, v->activity.component, head);
}

static void
visitor_record(struct http_visitor *v, struct asked *a, const struct adit_traffic *now)
{
	const struct adit_record record = {
		.size = sizeof(record), .conn = v->conn, .remote = &v->remote,
		.host = *v->host ? v->host : NULL, .status = v->status,
		.err = v->how && strcmp(v->how, "end") != 0 ? v->how : NULL,
	};

	asked_end(a, v->activity.component, record, now);
}

void
http_visitor_leave(struct http_visitor *v)
{
	struct adit_component *p = v->activity.component;

	adit_component_get(p);	/* free may look at what it was configured with */
	visitor_record(v, &v->asked, adit_mux_traffic(v->front));
	adit_mux_close(v->front, NULL);
	adit_activity_end(&v->activity);
	v->ops->free(v);
	adit_component_put(p);
}

void
http_visitor_end(struct http_visitor *v)
{
	const struct ending end = visitor_ending(v);
	char remote[ADIT_ADDR_TEXT];

	ending_log(&end, ADIT_LOG_INFO, "%s >< %s", adit_addr_format(&v->remote, remote), v->host);
	http_visitor_leave(v);
}

/*
 * The connection is over. Of a request that was none the front says which status it answered with.
 */
static void
visitor_front_ended(struct http_visitor *v)
{
	const struct adit_reason *why = adit_mux_reason(v->front);
	const char *how = ending_how(why->err);

	bool refused = why->code && !v->many;	/* the code is a status */

	if (refused) {
		v->requests += v->how ? 0 : 1;	/* one that broke off was counted */
		v->status = (int)why->code;
		how = why->code == 408 ? ending_how(-ETIMEDOUT) : "refused";
	}
	http_visitor_ended(v, refused ? NULL : ending_by(why->err, v->ops->name), how);
	http_visitor_end(v);
}

/* Nothing goes on, and nothing is to begin. */
static void
visitor_idle(struct http_visitor *v)
{
	if (adit_mux_err(v->front)) {
		visitor_front_ended(v);
	} else if (v->many && adit_mux_draining(v->front)) {
		http_visitor_ended(v, NULL, "stopped");
		http_visitor_end(v);
	}
}

/*
 * In HTTP/1.1 the front has nothing to say while a request goes on that the request does not hear
 * itself; nor has one that has ended.
 */
static void
visitor_event(void *owner, struct adit_mux *front, unsigned events)
{
	struct http_visitor *v = owner;
	bool takes = v->many ? !v->stopping : !v->running;
	struct adit_conn *c = takes ? adit_mux_accept(front) : NULL;

	(void)events;
	if (c) {
		v->running++;
		v->requests++;
		if (!v->many)
			adit_mux_want(front, 0);	/* until the next */
		v->ops->request(v, adit_exchange_of(c));
	} else if (!v->running) {
		visitor_idle(v);
	} else if (adit_mux_err(front) || v->stopping) {
		adit_mux_want(front, 0);
	}
}

/* From the loop it is seen what comes now. */
static void
visitor_go_on(struct http_visitor *v)
{
	v->running--;
	adit_mux_want(v->front, ADIT_READ);
	if (v->many && !v->running)
		adit_mux_ready(v->front, ADIT_READ);
}

void
http_visitor_next(struct http_visitor *v)
{
	visitor_record(v, &v->asked, adit_mux_traffic(v->front));
	visitor_go_on(v);
}

void
http_visitor_over(struct http_visitor *v, struct asked *a, const struct adit_traffic *bodies)
{
	visitor_record(v, a, bodies);
	visitor_go_on(v);
}

static void
visitor_stop(struct adit_activity *a, int why)
{
	struct http_visitor *v = adit_container_of(a, struct http_visitor, activity);

	if (!why && adit_component_has_grace(a->component)) {
		if (v->many)
			adit_mux_drain(v->front);
		else
			h1_server_last(v->front);
		return;
	}
	adit_mux_drain(v->front);
	if (!why && v->running)
		return;
	http_visitor_ended(v, NULL, "stopped");
	v->stopping = true;
	if (v->running)
		v->ops->stop(v, why);
	if (!v->running)
		http_visitor_end(v);
}

static void
visitor_init(struct http_visitor *v, const struct http_visitor_ops *ops, struct adit_conn *c)
{
	v->ops = ops;
	v->conn = adit_conn_id(c);
	v->worker = adit_conn_worker(c);
	v->born = adit_now() - adit_conn_age(c);
	v->remote = *adit_conn_remote(c);
}

static int
visitor_begin(struct http_visitor *v, struct adit_component *p)
{
	if (!v->front)
		return -ENOMEM;
	v->activity.stop = visitor_stop;
	adit_activity_begin(&v->activity, p, adit_mux_worker(v->front));
	adit_mux_own(v->front, visitor_event, v);
	adit_mux_want(v->front, ADIT_READ);
	return 0;
}

int
http_visitor_begin(struct http_visitor *v, const struct http_visitor_ops *ops,
		   struct adit_component *p, struct adit_conn *c, const struct h1_conf *conf)
{
	visitor_init(v, ops, c);
	v->front = h1_server(c, conf);
	return visitor_begin(v, p);
}

int
http_visitor_begin_many(struct http_visitor *v, const struct http_visitor_ops *ops,
			struct adit_component *p, struct adit_conn *c, const struct h2_conf *conf)
{
	visitor_init(v, ops, c);
	v->many = true;
	v->front = h2_server(c, conf);
	return visitor_begin(v, p);
}
