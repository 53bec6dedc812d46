#include "core/conn/ending.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 19

struct ending
ending_of(const struct adit_component *p, const struct adit_conn *c)
{
	return (struct ending){
		.component = p, .id = adit_conn_id(c), .remote = adit_conn_remote(c),
		.traffic = *adit_conn_traffic(c), .duration = adit_conn_age(c),
		.worker = adit_conn_worker(c),
	};
}

struct ending
ending_of_mux(const struct adit_component *p, const struct adit_mux *m)
{
	return (struct ending){
		.component = p, .remote = adit_mux_remote(m), .traffic = *adit_mux_traffic(m),
		.duration = adit_mux_age(m), .worker = adit_mux_worker(m),
	};
}

const char *
ending_how(int err)
{
	switch (err) {
	case 0:
	case -ESHUTDOWN:
		return "end";
	case -ECONNRESET:
	case -EPIPE:
	case -ECONNABORTED:
		return "reset";
	case -ETIMEDOUT:
	case ADIT_EPEERDEAD:
		return "timeout";
	case ADIT_ESTOPPED:
	case ADIT_EDRAINING:
		return "stopped";
	case ADIT_EREFUSED:
	case ADIT_EUNAUTH:
	case ADIT_EFORBIDDEN:
	case ADIT_ENOROUTE:
	case ADIT_ENORULES:
	case ADIT_ENOTUNNEL:
	case ADIT_ELIMIT:
		return "refused";
	default:
		return "failure";
	}
}

const char *
ending_by(int err, const char *peer)
{
	switch (err) {
	case 0:
	case -ESHUTDOWN:
	case -ECONNRESET:
	case -EPIPE:
	case -ECONNABORTED:
	case ADIT_ETRUNCATED:
	case ADIT_ETLS:
		return peer;
	default:
		return NULL;
	}
}

const char *
ending_side(int side, const char *a, const char *b)
{
	switch (side) {
	case 0:
		return a;
	case 1:
		return b;
	default:
		return NULL;
	}
}

const char *
ending_reason(int err, const char *text, char buf[ENDING_REASON])
{
	const char *meaning = adit_strerror(err);

	if (!text || !*text)
		return meaning;
	if (!err || strcasestr(text, meaning))
		return text;
	snprintf(buf, ENDING_REASON, "%s: %s", meaning, text);
	return buf;
}

/* Of HTTP alone. */
static size_t
ending_http(const struct ending *n, struct adit_log_field *f)
{
	if (!n->requests)
		return 0;
	f[0] = (struct adit_log_field)ADIT_UINT("requests", n->requests);
	f[1] = (struct adit_log_field)ADIT_INT("status", n->status);
	return 2;
}

/*
 * What a handler has served. Of HTTP each request has a record of its own; of what was no handler's
 * there is none.
 */
static void
ending_record(const struct ending *n, const char *text)
{
	bool well = n->how && (strcmp(n->how, "end") == 0 || strcmp(n->how, "idle") == 0);
	const struct adit_record record = {
		.size = sizeof(record), .conn = n->id, .remote = n->remote, .host = n->host,
		.user = n->user, .tunnel = n->tunnel, .err = well ? NULL : text,
		.traffic = n->traffic, .duration = n->duration,
	};

	if (!n->requests && n->kind && strcmp(n->kind, "listener") != 0)
		adit_component_record(n->component, &record);
}

void
ending_log(const struct ending *n, enum adit_log_level level, const char *fmt, ...)
{
	struct adit_log *log = adit_component_log(n->component);
	char remote[ADIT_ADDR_TEXT], text[1024];
	struct adit_log_field f[FIELDS_MAX] = { ADIT_STR("kind", n->kind) };
	size_t i = 1;
	va_list ap;

	if (!adit_log_enabled(log, level) && !adit_component_records(n->component))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ending_record(n, text);
	if (!adit_log_enabled(log, level))
		return;
	if (n->id)
		f[i++] = (struct adit_log_field)ADIT_UINT("conn", n->id);
	if (n->worker)
		f[i++] = (struct adit_log_field)ADIT_UINT("worker", adit_worker_index(n->worker));
	f[i++] = (struct adit_log_field)ADIT_STR("service", adit_component_name(n->component));
	if (n->remote && n->remote->family)
		f[i++] = (struct adit_log_field)ADIT_STR("remote",
							 adit_addr_format(n->remote, remote));
	f[i++] = (struct adit_log_field)ADIT_STR("user", n->user);
	f[i++] = (struct adit_log_field)ADIT_STR("host", n->host);
	f[i++] = (struct adit_log_field)ADIT_STR("tunnel", n->tunnel);
	f[i++] = (struct adit_log_field)ADIT_STR("connector", n->connector);
	i += ending_http(n, f + i);
	f[i++] = (struct adit_log_field)ADIT_UINT("inputBytes", n->traffic.in);
	f[i++] = (struct adit_log_field)ADIT_UINT("outputBytes", n->traffic.out);
	if (n->dropped)
		f[i++] = (struct adit_log_field)ADIT_UINT("dropped", n->dropped);
	f[i++] = (struct adit_log_field)ADIT_DURATION("duration", n->duration);
	f[i++] = (struct adit_log_field)ADIT_STR("endedBy", n->by ? n->by : "nobody");
	f[i++] = (struct adit_log_field)ADIT_STR("how", n->how);
	f[i] = (struct adit_log_field){ .type = ADIT_LOG_END };
	adit_log(log, level, f, "%s", text);
}
