#include "core/service/records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <adit/exchange.h>

#include "core/config/mask.h"
#include "core/conn/conn.h"
#include "core/http/uri.h"
#include "core/identity/held.h"
#include "core/runtime/json.h"
#include "core/service/recorder.h"
#include "core/service/world.h"

/* ---- which --------------------------------------------------------------------------------- */

/* Those that conf names for that; NULL: none, or (-ENOMEM in *err) no memory. */
static struct held **
records_take(const struct service_conf *conf, enum record_kind kind,
	     const struct service_world *world, int *err)
{
	struct held **v;
	size_t n = 0;

	for (size_t i = 0; i < conf->recorders.n; i++)
		n += conf->recorders.v[i].kind == (int)kind;
	v = n ? calloc(n + 1, sizeof(*v)) : NULL;
	if (n && !v)
		*err = -ENOMEM;
	n = 0;
	for (size_t i = 0; v && i < conf->recorders.n; i++)
		if (conf->recorders.v[i].kind == (int)kind)
			v[n++] = world_held_one(world, CONFIG_RECORDERS,
						conf->recorders.v[i].name);
	return v;
}

int
records_init(struct records *r, const struct service_conf *conf, const struct service_world *world)
{
	int err = 0;

	r->service = conf->name;
	for (int kind = 0; kind < RECORD_KINDS; kind++)
		r->v[kind] = records_take(conf, (enum record_kind)kind, world, &err);
	return err;
}

void
records_fini(struct records *r)
{
	for (int kind = 0; kind < RECORD_KINDS; kind++)
		world_held_free(r->v[kind]);
}

bool
records_has(const struct records *r, enum record_kind kind)
{
	return r->v[kind];
}

static void
records_write(const struct records *r, enum record_kind kind, const char *text, size_t len)
{
	for (struct held **v = r->v[kind]; v && *v; v++)
		recorder_put(held_now(*v), text, len);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

/* RFC 3339 with nanoseconds, in local time: when that was that is ns ago. */
static void
format_time(uint64_t ns, char out[48])
{
	struct timespec now;
	struct tm tm;
	char zone[8];
	int64_t at;
	time_t s;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)ns;
	s = (time_t)(at / 1000000000);
	localtime_r(&s, &tm);
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	if (strcmp(zone, "+0000") == 0)
		snprintf(out + n, 48 - n, ".%09dZ", (int)(at % 1000000000));
	else
		snprintf(out + n, 48 - n, ".%09d%.3s:%.2s", (int)(at % 1000000000), zone, zone + 3);
}

/* Queries may have secrets of any name. */
static struct adit_text
shown(const struct adit_field *f)
{
	if (config_field_is_secret(f->name.s))
		return (struct adit_text){ "***", 3 };
	if (strcasecmp(f->name.s, "Referer") == 0)
		return uri_path(f->value);
	return f->value;
}

/* As Go has it: a list of values for each name; here one for each field. */
static void
put_header(struct json *j, const struct adit_fields *head)
{
	if (!json_open(j, "header"))
		return;
	for (size_t i = 0; i < adit_fields_count(head); i++) {
		const struct adit_field *f = adit_fields_at(head, i);
		struct adit_text value = shown(f);

		json_list_of_one(j, f->name.s, f->name.len, value.s, value.len);
	}
	json_close(j);
}

static void
put_control(struct json *j, const char *key, const struct adit_fields *head, enum adit_control what)
{
	struct adit_text text = adit_fields_control(head, what);

	json_text(j, key, text.s ? text.s : "", text.len);
}

static void
put_uri(struct json *j, const struct adit_fields *head)
{
	struct adit_text path = uri_path(adit_fields_control(head, ADIT_TARGET));

	json_text(j, "uri", path.s ? path.s : "", path.len);
}

static void
put_http(struct json *j, const struct adit_record *r)
{
	int version = adit_fields_version(r->request);
	struct adit_text length = adit_fields_get(r->request, "Content-Length");
	char proto[16];

	if (!json_open(j, "http"))
		return;
	snprintf(proto, sizeof(proto), "HTTP/%d.%d", version / 10, version % 10);
	put_control(j, "host", r->request, ADIT_AUTHORITY);
	put_control(j, "method", r->request, ADIT_METHOD);
	json_string(j, "proto", version ? proto : "");
	put_control(j, "scheme", r->request, ADIT_SCHEME);
	put_uri(j, r->request);
	json_number(j, "statusCode", r->status);
	if (json_open(j, "request")) {
		json_number(j, "contentLength", length.s ? strtoll(length.s, NULL, 10) : 0);
		put_header(j, r->request);
		json_null(j, "body");
		json_close(j);
	}
	json_close(j);
}

static void
put_address(struct json *j, const char *key, const struct adit_addr *a, bool port)
{
	char text[ADIT_ADDR_TEXT];

	if (a && a->family)
		json_string(j, key,
			    port ? adit_addr_format(a, text) : adit_addr_format_ip(a, text));
}

size_t
record_format(const struct adit_record *r, const char *service, const char *network, char *buf,
	      size_t size)
{
	char time[48], id[24];
	struct json j;

	snprintf(id, sizeof(id), "%llu", (unsigned long long)r->conn);
	format_time(r->duration, time);
	json_begin(&j, buf, size);
	json_string(&j, "service", service);
	json_string(&j, "network", network ? network : "tcp");
	put_address(&j, "remote", r->remote, true);
	put_address(&j, "clientIP", r->remote, false);
	json_string(&j, "clientID", r->user ? r->user : r->tunnel);
	if (r->request && adit_fields_control(r->request, ADIT_AUTHORITY).s)
		put_control(&j, "host", r->request, ADIT_AUTHORITY);
	else
		json_string(&j, "host", r->host);
	json_string(&j, "proto", r->request ? "http" : NULL);
	json_number(&j, "inputBytes", (int64_t)r->traffic.in);
	json_number(&j, "outputBytes", (int64_t)r->traffic.out);
	json_string(&j, "err", r->err);
	json_string(&j, "sid", id);
	json_number(&j, "duration", (int64_t)r->duration);
	json_string(&j, "time", time);
	if (r->request)
		put_http(&j, r);
	return json_end(&j);
}

/* ---- what is recorded ------------------------------------------------------------------------ */

void
records_put(const struct records *r, const struct adit_record *record)
{
	char *buf;

	if (!r->v[RECORD_HANDLER])
		return;
	buf = malloc(RECORD_MAX);
	if (buf)
		records_write(r, RECORD_HANDLER, buf,
			      record_format(record, r->service, r->network, buf, RECORD_MAX));
	free(buf);
}

void
records_visitor(const struct records *r, const struct adit_addr *who)
{
	char text[ADIT_ADDR_TEXT];

	if (!r->v[RECORD_CLIENT] || !who->family)
		return;
	adit_addr_format_ip(who, text);
	records_write(r, RECORD_CLIENT, text, strlen(text));
}

/* A conn that is not open yet. */
struct dialed {
	struct conn_watch	 watch;
	struct held		**v;		/* referenced, ended by NULL */
	size_t			 len;
	char			 host[];
};

static void
dialed_told(struct conn_watch *watch, int err)
{
	struct dialed *d = adit_container_of(watch, struct dialed, watch);

	for (size_t i = 0; d->v[i]; i++)
		if (err && err != -ECANCELED)
			recorder_put(held_now(d->v[i]), d->host, d->len);
	world_held_free(d->v);
	free(d);
}

static struct held **
held_again(struct held *const *v)
{
	size_t n = 0;
	struct held **again;

	while (v[n])
		n++;
	again = calloc(n + 1, sizeof(*again));
	for (size_t i = 0; again && i < n; i++)
		again[i] = held_get(v[i]);
	return again;
}

static void
records_watch(const struct records *r, const char *host, size_t len, struct adit_conn *c)
{
	struct dialed *d = malloc(sizeof(*d) + len);

	if (!d)
		return;
	*d = (struct dialed){
		.watch = { .told = dialed_told }, .v = held_again(r->v[RECORD_DIAL_ERROR]),
		.len = len,
	};
	memcpy(d->host, host, len);
	if (!d->v)
		free(d);
	else if (c)
		conn_watch_open(c, &d->watch);
	else
		dialed_told(&d->watch, -ECONNREFUSED);
}

void
records_dial(const struct records *r, const char *host, uint16_t port, struct adit_conn *c)
{
	char text[300];
	int n;

	if (!r->v[RECORD_DIAL] && !r->v[RECORD_DIAL_ERROR])
		return;
	n = snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	if (n < 0 || (size_t)n >= sizeof(text))
		return;
	records_write(r, RECORD_DIAL, text, (size_t)n);
	if (r->v[RECORD_DIAL_ERROR])
		records_watch(r, text, (size_t)n, c);
}
