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
visitor_record(struct http_visitor *v)
{
	const struct adit_record record = {
		.size = sizeof(record), .conn = v->conn, .remote = &v->remote,
		.host = *v->host ? v->host : NULL, .status = v->status,
		.err = v->how && strcmp(v->how, "end") != 0 ? v->how : NULL,
	};

	asked_end(&v->asked, v->activity.component, record, adit_mux_traffic(v->front));
}

void
http_visitor_leave(struct http_visitor *v)
{
	struct adit_component *p = v->activity.component;

	adit_component_get(p);	/* free may look at what it was configured with */
	visitor_record(v);
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

	if (why->code) {
		v->requests += v->how ? 0 : 1;	/* one that broke off was counted */
		v->status = (int)why->code;
		how = why->code == 408 ? ending_how(-ETIMEDOUT) : "refused";
	}
	http_visitor_ended(v, why->code ? NULL : ending_by(why->err, v->ops->name), how);
	http_visitor_end(v);
}

/*
 * One request at a time. While it goes on the front has nothing to say that the request does not
 * hear itself.
 */
static void
visitor_event(void *owner, struct adit_mux *front, unsigned events)
{
	struct http_visitor *v = owner;
	struct adit_conn *c = v->busy ? NULL : adit_mux_accept(front);

	(void)events;
	if (c) {
		v->busy = true;
		v->requests++;
		adit_mux_want(front, 0);	/* until the next */
		v->ops->request(v, adit_exchange_of(c));
	} else if (!v->busy && adit_mux_err(front)) {
		visitor_front_ended(v);
	}
}

void
http_visitor_next(struct http_visitor *v)
{
	visitor_record(v);
	v->busy = false;
	adit_mux_want(v->front, ADIT_READ);
}

static void
visitor_stop(struct adit_activity *a, int why)
{
	struct http_visitor *v = adit_container_of(a, struct http_visitor, activity);

	if (!why && adit_component_has_grace(a->component)) {
		h1_server_last(v->front);
		return;
	}
	adit_mux_drain(v->front);
	if (!why && v->busy)
		return;
	http_visitor_ended(v, NULL, "stopped");
	v->stopping = true;
	if (v->busy)
		v->ops->stop(v, why);
	if (!v->busy)
		http_visitor_end(v);
}

int
http_visitor_begin(struct http_visitor *v, const struct http_visitor_ops *ops,
		   struct adit_component *p, struct adit_conn *c, const struct h1_conf *conf)
{
	struct adit_worker *w = adit_conn_worker(c);

	v->ops = ops;
	v->conn = adit_conn_id(c);
	v->worker = w;
	v->born = adit_now() - adit_conn_age(c);
	v->remote = *adit_conn_remote(c);
	v->front = h1_server(c, conf);
	if (!v->front)
		return -ENOMEM;
	v->activity.stop = visitor_stop;
	adit_activity_begin(&v->activity, p, w);
	adit_mux_own(v->front, visitor_event, v);
	adit_mux_want(v->front, ADIT_READ);
	return 0;
}
