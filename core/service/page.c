#include "core/service/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/http/basic.h"
#include "core/http/respond.h"
#include "core/http/uri.h"
#include "core/service/component.h"

#define BODY_MS	  15000		/* for a request's body, and for who reads an answer to go on */
#define BODY_FIRST 4096

static struct page *
page_of(struct http_visitor *v)
{
	return adit_container_of(v, struct page, visitor);
}

const char *
page_method(const struct page *p)
{
	return adit_fields_control(p->head, ADIT_METHOD).s;
}

/* A copy; NULL: out of memory. */
static char *
page_text(struct adit_text text)
{
	return strndup(text.s ? text.s : "", text.len);
}

char *
page_decode(struct adit_text text, bool query)
{
	char *out = malloc(text.len + 1);

	if (out)
		out[uri_decode(text, query, out)] = '\0';
	return out;
}

char *
page_query(const struct page *p, const char *key)
{
	struct adit_text query = uri_query(adit_fields_control(p->head, ADIT_TARGET)), name, value;

	while (uri_query_next(&query, &name, &value))
		if (name.len == strlen(key) && strncmp(name.s, key, name.len) == 0 && value.len)
			return page_decode(value, true);
	return NULL;
}

/* ---- the end of a request ------------------------------------------------------------ */

static void
page_reset(struct page *p)
{
	if (p->asked)
		p->site->cancel(p);
	login_end(&p->login);
	free(p->path);
	if (p->body)
		explicit_bzero(p->body, p->len);	/* there may be passwords in it */
	free(p->body);
	if (p->answer)
		explicit_bzero(p->answer, p->answer_len);
	free(p->answer);
	adit_fields_free(p->fields);
	p->asked = NULL;
	p->path = p->body = p->answer = NULL;
	p->fields = NULL;
	p->head = NULL;
	p->x = NULL;
	p->len = p->room = p->answer_len = p->sent = 0;
	p->known = false;
}

static void
page_log(const struct page *p)
{
	struct adit_log *log = adit_component_log(p->site->component);
	char client[ADIT_ADDR_TEXT];
	uint64_t took = adit_now() - p->born;

	if (!p->site->access_log || !p->head)
		return;
	adit_addr_format_ip(&p->visitor.remote, client);
	adit_log(log, ADIT_LOG_INFO,
		 ADIT_FIELDS(ADIT_STR("kind", p->site->kind),
			     ADIT_STR("service", adit_component_name(p->site->component)),
			     ADIT_STR("method", page_method(p)), ADIT_STR("uri", p->path),
			     ADIT_INT("code", p->visitor.status), ADIT_STR("client", client),
			     ADIT_DURATION("duration", took)),
		 "| %d | %.3fms | %s | %s %s", p->visitor.status, (double)took / 1e6, client,
		 page_method(p), p->path ? p->path : "");
}

static void
page_end(struct page *p, int why)
{
	struct adit_exchange *x = p->x;

	page_log(p);
	page_reset(p);
	adit_conn_close(&x->body, why);
	http_visitor_next(&p->visitor);
}

/* ---- the answer ---------------------------------------------------------------------- */

static void
page_write(struct page *p)
{
	ssize_t n = 1;

	while (n > 0 && p->sent < p->answer_len) {
		n = adit_conn_write(&p->x->body, p->answer + p->sent, p->answer_len - p->sent);
		if (n > 0)
			p->sent += (size_t)n;
	}
	if (n == -EAGAIN) {
		adit_conn_deadline(&p->x->body, BODY_MS);
		return;
	}
	if (n > 0)
		n = p->answer_len ? adit_conn_shutdown(&p->x->body) : 0;
	page_end(p, (int)n);
}

static void
page_writable(void *owner, struct adit_conn *c, unsigned events)
{
	(void)c;
	(void)events;
	page_write(owner);
}

int
page_field(struct page *p, const char *name, const char *value)
{
	if (!p->fields)
		p->fields = adit_fields_new();
	return p->fields ? adit_fields_set(p->fields, name, value) : -ENOMEM;
}

void
page_answer(struct page *p, int status, const char *type, char *body, size_t len)
{
	int err;

	p->asked = NULL;
	p->answer = body;
	p->answer_len = len;
	p->visitor.status = status;
	err = http_respond_head(p->x, status, type, len, p->fields);
	if (err) {
		page_end(p, err);
		return;
	}
	adit_conn_own(&p->x->body, page_writable, p);
	adit_conn_want(&p->x->body, ADIT_WRITE);
	page_write(p);
}

/* ---- a request ----------------------------------------------------------------------- */

static int
page_take(struct page *p)
{
	char *grown;
	ssize_t n;

	if (p->len + 1 >= p->room) {
		grown = realloc(p->body, p->room ? p->room * 2 : BODY_FIRST);
		if (!grown)
			return -ENOMEM;
		p->body = grown;
		p->room = p->room ? p->room * 2 : BODY_FIRST;
	}
	n = adit_conn_read(&p->x->body, p->body + p->len, p->room - p->len - 1);
	if (n > 0)
		p->len += (size_t)n;
	p->body[p->len] = '\0';
	return (int)n;
}

static void
page_readable(void *owner, struct adit_conn *c, unsigned events)
{
	struct page *p = owner;
	int n = 1;

	(void)c;
	(void)events;
	while (n > 0 && p->len <= p->site->body_max)
		n = page_take(p);
	if (n == -EAGAIN)
		return;
	adit_conn_want(&p->x->body, 0);
	adit_conn_deadline(&p->x->body, 0);
	if (p->len > p->site->body_max)
		page_answer(p, 413, NULL, NULL, 0);
	else if (n < 0)
		page_end(p, n);
	else
		p->site->serve(p);
}

/* Who asks may. */
static void
page_read(struct page *p)
{
	adit_conn_own(&p->x->body, page_readable, p);
	adit_conn_deadline(&p->x->body, BODY_MS);
	adit_conn_want(&p->x->body, ADIT_READ);
}

static void
page_judge(struct page *p, int err)
{
	p->known = !err && gate_asks(&p->site->component->gate);
	if (!err)
		page_read(p);
	else if (err == ADIT_EUNAUTH)
		p->site->denied(p);
	else
		page_answer(p, 503, NULL, NULL, 0);
}

static void
page_logged_in(struct login *l, int err)
{
	page_judge(adit_container_of(l, struct page, login), err);
}

static void
page_login(struct page *p)
{
	struct basic b;
	bool given = basic_decode(adit_fields_get(p->head, "Authorization"), &b) == 0;
	const struct credentials c = {
		.user = given ? b.text : NULL, .user_len = given ? b.user_len : 0,
		.password = given ? basic_password(&b) : NULL,
		.password_len = given ? b.password_len : 0,
	};
	int err;

	p->login = (struct login){ .done = page_logged_in };
	err = login_begin(&p->login, &p->site->component->gate, &p->x->body, &c);
	explicit_bzero(&b, sizeof(b));
	if (err != -EINPROGRESS)
		page_judge(p, err);
}

static void
page_request(struct http_visitor *v, struct adit_exchange *near)
{
	struct page *p = page_of(v);

	p->x = near;
	p->born = adit_now();
	p->head = adit_exchange_head(near);
	if (p->head)
		p->path = page_text(uri_path(adit_fields_control(p->head, ADIT_TARGET)));
	if (!p->path) {
		page_end(p, p->head ? -ENOMEM : -EBADMSG);
		return;
	}
	snprintf(v->host, sizeof(v->host), "%s", p->path);
	if (p->site->guarded(p))
		page_login(p);
	else
		p->site->serve(p);	/* anybody's: nothing is kept for him */
}

/* Asked again and again while it drains: what was asked for is answered. */
static void
page_stop(struct http_visitor *v, int why)
{
	struct page *p = page_of(v);

	if (why)
		page_end(p, why);
}

static void
page_free(struct http_visitor *v)
{
	struct page *p = page_of(v);

	page_reset(p);
	free(p);
}

static const struct http_visitor_ops page_ops = {
	.kind = "handler", .name = "client", .far = "server",
	.request = page_request, .stop = page_stop, .free = page_free,
};

void
page_serve(struct adit_conn *c, struct page_site *site)
{
	const struct h1_conf h1 = { .head_timeout = ADIT_SECONDS(10), .send_continue = true };
	struct page *p = calloc(1, sizeof(*p));

	if (!p) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	p->site = site;
	if (http_visitor_begin(&p->visitor, &page_ops, site->component, c, &h1) < 0)
		free(p);
}
