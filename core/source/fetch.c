#include "core/source/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <adit/addr.h>
#include <adit/exchange.h>

#include "core/config/mask.h"
#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/tls.h"
#include "core/http/basic.h"
#include "core/http/h1.h"
#include "core/http/uri.h"

#define HOST_SIZE 256

struct fetch_url {
	bool	 https;
	uint16_t port;
	char	 host[HOST_SIZE];
	char	 authority[HOST_SIZE + 8];	/* as Host has it */
	char	*basic;				/* a field's value, or NULL; a secret */
	char	 target[FETCH_URL_MAX + 2];
};

enum fetch_state { FETCH_ASKS, FETCH_SENDS, FETCH_WAITS, FETCH_READS };

struct fetch {
	struct adit_worker	*worker;
	struct adit_timer	*timer;
	struct tls_source	*tls;
	fetch_done		*done;
	void			*arg;
	uint64_t		 limit;
	size_t			 max;
	char			*method, *body;
	char			*token;		/* a secret, dropped when sent elsewhere */
	char			*authorization;	/* a secret, for this server only */
	const struct adit_pairs	*fields;	/* or NULL */
	const char		*authority;	/* or NULL */
	bool			 head_only;
	int			 status;
	struct fetch_url	 url;

	enum fetch_state	 state;
	unsigned		 redirects;
	struct adit_mux		*mux;
	struct adit_exchange	*x;
	size_t			 sent;		/* of body */
	char			*text;
	size_t			 len, room;
};

/* ---- URLs ------------------------------------------------------------------------------ */

static void
url_fini(struct fetch_url *u)
{
	if (u->basic)
		explicit_bzero(u->basic, strlen(u->basic));
	free(u->basic);
	u->basic = NULL;
}

/* "user:password", in which both may have escapes. */
static int
url_set_user(struct fetch_url *u, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	size_t user_len = colon ? (size_t)(colon - text) : len, n;
	char user[BASIC_MAX + 1], password[BASIC_MAX + 1] = "";

	if (len > BASIC_MAX)
		return -EINVAL;
	n = uri_decode((struct adit_text){ text, user_len }, false, user);
	user[n] = '\0';
	if (colon) {
		n = uri_decode((struct adit_text){ colon + 1, len - user_len - 1 }, false,
			       password);
		password[n] = '\0';
	}
	u->basic = basic_encode(user, password);
	explicit_bzero(password, sizeof(password));
	return u->basic ? 0 : -ENOMEM;
}

/* "host:port" or "host". */
static int
url_set_authority(struct fetch_url *u, const char *text, size_t len)
{
	if (len == 0 || len >= sizeof(u->authority))
		return -EINVAL;
	memcpy(u->authority, text, len);
	u->authority[len] = '\0';
	if (adit_hostport_split(u->authority, u->host, sizeof(u->host), &u->port) < 0 || !*u->host)
		return -EINVAL;
	if (!u->port)
		u->port = u->https ? 443 : 80;
	return 0;
}

/* What is behind the authority, without a fragment. */
static void
url_set_target(struct fetch_url *u, const char *text)
{
	size_t len = strcspn(text, "#");

	snprintf(u->target, sizeof(u->target), "%s%.*s", *text == '/' ? "" : "/", (int)len, text);
}

static bool
url_is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* To be fini'ed, also when it fails. */
static int
url_parse(struct fetch_url *u, const char *text, struct adit_err *e)
{
	const char *host, *at;
	size_t len;
	int err = 0;

	*u = (struct fetch_url){ .https = strncasecmp(text, "https://", 8) == 0 };
	if (!u->https && strncasecmp(text, "http://", 7) != 0)
		return adit_err_set(e, -EINVAL, "not a URL of http or https");
	if (strlen(text) > FETCH_URL_MAX || !url_is_printable(text))
		return adit_err_set(e, -EINVAL, "a URL that is too long, or has blanks in it");
	host = strstr(text, "://") + 3;
	len = strcspn(host, "/?#");
	at = memrchr(host, '@', len);
	if (at) {
		err = url_set_user(u, host, (size_t)(at - host));
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (!err)
		err = url_set_authority(u, host, len);
	if (err)
		return adit_err_set(e, err, err == -ENOMEM ? "out of memory" :
							     "a URL without a proper host");
	url_set_target(u, host + len);
	return 0;
}

int
fetch_check_url(const char *url, bool *https, struct adit_err *e)
{
	struct fetch_url u;
	int err = url_parse(&u, url, e);

	*https = u.https;
	url_fini(&u);
	return err;
}

char *
fetch_url_for_log(const char *url)
{
	char *masked = config_mask_url(url, strlen(url));

	if (masked)
		masked[strcspn(masked, "?#")] = '\0';
	return masked;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void
wipe(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

static void
fetch_hang_up(struct fetch *f)
{
	if (f->x)
		adit_conn_close(&f->x->body, 0);
	adit_mux_close(f->mux, NULL);
	f->x = NULL;
	f->mux = NULL;
}

void
fetch_cancel(struct fetch *f)
{
	if (!f)
		return;
	fetch_hang_up(f);
	adit_timer_free(f->timer);
	url_fini(&f->url);
	wipe(f->token, f->token ? strlen(f->token) : 0);
	wipe(f->authorization, f->authorization ? strlen(f->authorization) : 0);
	wipe(f->body, f->body ? strlen(f->body) : 0);
	wipe(f->text, f->room);
	free(f->method);
	free(f);
}

/* e NULL: the text is whole. */
static void
fetch_end(struct fetch *f, const struct adit_err *e)
{
	fetch_done *done = f->done;
	char *text = f->text;
	size_t len = f->len, room = f->room;
	void *arg = f->arg;

	f->text = NULL;
	fetch_cancel(f);
	if (text)
		text[len] = '\0';
	done(arg, e ? NULL : text, e ? 0 : len, e);
	wipe(text, room);
}

static void
fetch_fail(struct fetch *f, int err, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, err, "%s", text ? text : adit_strerror(err));
	fetch_end(f, &e);
}

static void
fetch_late(void *arg)
{
	struct fetch *f = arg;
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, -ETIMEDOUT, "no answer within %llu ms",
		     (unsigned long long)(f->limit / ADIT_MS(1)));
	fetch_end(f, &e);
}

/* ---- the request -------------------------------------------------------------------------- */

bool
fetch_check_field(const char *name, const char *value)
{
	static const char *const ours[] = {
		"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade",
	};
	struct adit_fields *f = adit_fields_new();
	bool fine = f && adit_fields_set(f, name, value) == 0;

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		fine &= strcasecmp(name, ours[i]) != 0;
	adit_fields_free(f);
	return fine;
}

static int
fetch_add_fields(const struct fetch *f, struct adit_fields *head)
{
	char line[32];
	char *bearer;
	int err = adit_fields_set(head, "User-Agent", "adit");

	if (!err)
		err = adit_fields_set(head, "Connection", "close");
	if (!err && f->body) {
		snprintf(line, sizeof(line), "%zu", strlen(f->body));
		err = adit_fields_set(head, "Content-Length", line);
	}
	if (!err && (f->body || f->token))
		err = adit_fields_set(head, "Content-Type", "application/json");
	if (err || f->authorization)
		return err ? err : adit_fields_set(head, "Authorization", f->authorization);
	if (f->url.basic)
		return adit_fields_set(head, "Authorization", f->url.basic);
	if (!f->token)
		return 0;
	if (asprintf(&bearer, "Bearer %s", f->token) < 0)
		return -ENOMEM;
	err = adit_fields_set(head, "Authorization", bearer);
	wipe(bearer, strlen(bearer));
	return err;
}

static struct adit_fields *
fetch_head(const struct fetch *f)
{
	const char *authority = f->authority ? f->authority : f->url.authority;
	const struct { enum adit_control which; const char *text; } control[] = {
		{ ADIT_METHOD, f->method ? f->method : "GET" },
		{ ADIT_SCHEME, f->url.https ? "https" : "http" },
		{ ADIT_AUTHORITY, authority },
		{ ADIT_TARGET, f->url.target },
	};
	const struct adit_pairs *more = f->fields;
	struct adit_fields *head = adit_fields_new();
	int err = head ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < sizeof(control) / sizeof(*control); i++)
		err = adit_fields_set_control(head, control[i].which, control[i].text,
					      strlen(control[i].text));
	if (!err)
		err = fetch_add_fields(f, head);
	for (size_t i = 0; more && !err && i < more->n; i++)
		err = adit_fields_set(head, more->name[i], more->value[i]);
	if (!err)
		return head;
	adit_fields_free(head);
	return NULL;
}

static int
fetch_ask(struct fetch *f)
{
	struct adit_fields *head = fetch_head(f);
	int err;

	if (!head)
		return -ENOMEM;
	err = adit_exchange_send_head(f->x, head, f->body ? 0 : ADIT_HEAD_END);
	adit_fields_free(head);
	if (err == -EAGAIN)
		adit_conn_want(&f->x->body, ADIT_WRITE);
	if (!err)
		f->state = f->body ? FETCH_SENDS : FETCH_WAITS;
	return err;
}

static int
fetch_send(struct fetch *f)
{
	size_t len = strlen(f->body);
	ssize_t n = 0;

	while (f->sent < len) {
		n = adit_conn_write(&f->x->body, f->body + f->sent, len - f->sent);
		if (n == -EAGAIN)
			adit_conn_want(&f->x->body, ADIT_WRITE);
		if (n < 0)
			return (int)n;
		f->sent += (size_t)n;
	}
	f->state = FETCH_WAITS;
	return adit_conn_shutdown(&f->x->body);
}

/* ---- the answer --------------------------------------------------------------------------- */

static int fetch_connect(struct fetch *f, struct adit_err *e);	/* a redirect begins anew */

/*
 * Where location leads from u, which becomes that: without credentials, unless it is the same
 * server. 0, or -EINVAL: nowhere.
 */
static int
url_follow(struct fetch_url *u, const char *location, bool *same)
{
	struct fetch_url to;
	char whole[FETCH_URL_MAX + 16];
	int err, n;

	if (*location == '/' && location[1] != '/') {
		*same = true;
		if (strlen(location) > FETCH_URL_MAX || !url_is_printable(location))
			return -EINVAL;
		url_set_target(u, location);
		return 0;
	}
	n = snprintf(whole, sizeof(whole), "%s%s",
		     *location == '/' ? u->https ? "https:" : "http:" : "", location);
	if (n < 0 || (size_t)n >= sizeof(whole))
		return -EINVAL;
	err = url_parse(&to, whole, NULL);
	url_fini(&to);			/* credentials that a server gives are not used */
	if (err || to.https != u->https)
		return -EINVAL;
	*same = strcasecmp(to.host, u->host) == 0 && to.port == u->port;
	to.basic = *same ? u->basic : NULL;
	if (!*same)
		url_fini(u);
	*u = to;
	return 0;
}

static bool
is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Returns whether the request goes on, elsewhere. */
static bool
fetch_follow(struct fetch *f, const struct adit_fields *head)
{
	struct adit_text location = adit_fields_get(head, "Location");
	int status = adit_fields_status(head);
	struct adit_err e = ADIT_ERR_INIT;
	bool same = true;

	if (f->head_only || f->method || f->body || !location.len ||
	    f->redirects++ >= FETCH_REDIRECTS_MAX || !is_redirect(status) ||
	    url_follow(&f->url, location.s, &same) < 0 || (!same && f->authorization))
		return false;
	if (!same) {
		wipe(f->token, f->token ? strlen(f->token) : 0);
		f->token = NULL;
	}
	fetch_hang_up(f);
	f->state = FETCH_ASKS;
	if (fetch_connect(f, &e) < 0)
		fetch_end(f, &e);
	return true;
}

/* 1: f has ended, or goes on elsewhere. */
static int
fetch_wait(struct fetch *f)
{
	const struct adit_fields *head;
	struct adit_err e = ADIT_ERR_INIT;
	int status;

	do {
		head = adit_exchange_head(f->x);
		if (!head) {
			adit_conn_want(&f->x->body, ADIT_HEAD);
			return adit_conn_err(&f->x->body) ? adit_conn_err(&f->x->body) : -EAGAIN;
		}
		status = adit_fields_status(head);
	} while (status < 200 && status != 101);
	if (f->head_only && (f->status ? status == f->status : status < 300)) {
		f->text = calloc(1, 1);
		if (!f->text)
			return -ENOMEM;
		f->room = 1;
		fetch_end(f, NULL);
		return 1;
	}
	if (status == 200 && !f->head_only) {
		f->state = FETCH_READS;
		return 0;
	}
	if (fetch_follow(f, head))
		return 1;
	adit_err_set(&e, status == 404 ? -ENOENT : ADIT_EREFUSED, "status %d", status);
	fetch_end(f, &e);
	return 1;
}

/* Room for something more and a terminator; one byte above max shows that there are too many. */
static int
fetch_make_room(struct fetch *f)
{
	size_t room = f->room ? f->room * 2 : 4096;
	char *text;

	if (f->len > f->max)
		return -EMSGSIZE;
	if (f->len + 1 < f->room)
		return 0;
	if (room > f->max + 2)
		room = f->max + 2;
	text = malloc(room);
	if (!text)
		return -ENOMEM;
	if (f->len)
		memcpy(text, f->text, f->len);
	wipe(f->text, f->room);
	f->text = text;
	f->room = room;
	return 0;
}

static int
fetch_read(struct fetch *f)
{
	ssize_t n = 1;

	while (n > 0) {
		int err = fetch_make_room(f);

		if (err)
			return err;
		n = adit_conn_read(&f->x->body, f->text + f->len, f->room - f->len - 1);
		if (n > 0)
			f->len += (size_t)n;
	}
	if (n == -EAGAIN)
		adit_conn_want(&f->x->body, ADIT_READ);
	if (n < 0)
		return (int)n;
	if (memchr(f->text, '\0', f->len))
		fetch_fail(f, -EBADMSG, "not a text: it has a NUL byte");
	else
		fetch_end(f, NULL);
	return 1;
}

static void
fetch_event(void *owner, struct adit_conn *c, unsigned events)
{
	static int (*const steps[])(struct fetch *f) = {
		[FETCH_ASKS] = fetch_ask, [FETCH_SENDS] = fetch_send,
		[FETCH_WAITS] = fetch_wait, [FETCH_READS] = fetch_read,
	};
	struct fetch *f = owner;
	int err;

	(void)events;
	do
		err = adit_conn_err(c) && f->state < FETCH_WAITS ? adit_conn_err(c) :
								   steps[f->state](f);
	while (err == 0);
	if (err == -EMSGSIZE)
		fetch_fail(f, err, "the answer is too long");
	else if (err < 0 && err != -EAGAIN)
		fetch_fail(f, err, conn_failure(c));
}

/* ---- the beginning ------------------------------------------------------------------------- */

static struct adit_conn *
fetch_dial(struct fetch *f, struct adit_err *e)
{
	struct adit_conn *c = tcp_dial(f->worker, f->url.host, f->url.port,
				       (unsigned)(f->limit / ADIT_MS(1)), e);

	return c && f->url.https ? tls_client_of(c, f->tls, f->url.host, e) : c;
}

static int
fetch_connect(struct fetch *f, struct adit_err *e)
{
	struct adit_conn *c = fetch_dial(f, e);

	if (!c)
		return e->code;
	f->mux = h1_client(c, NULL);
	c = f->mux ? adit_mux_open(f->mux, ADIT_CONN_EXCHANGE, e) : NULL;
	if (!c)
		return e->code ? e->code : adit_err_set(e, -ENOMEM, "out of memory");
	f->x = adit_exchange_of(c);
	adit_conn_own(c, fetch_event, f);
	adit_conn_want(c, ADIT_WRITE);
	return 0;
}

static bool
copy(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return *to || !text;
}

struct fetch *
fetch_begin(struct adit_worker *w, const struct fetch_conf *conf, fetch_done *done, void *arg,
	    struct adit_err *e)
{
	struct fetch *f = calloc(1, sizeof(*f));
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled */

	if (f)
		f->timer = adit_timer_new(w, fetch_late, f);
	if (!f || !f->timer || !copy(&f->method, conf->method) || !copy(&f->token, conf->token) ||
	    !copy(&f->authorization, conf->authorization) || !copy(&f->body, conf->body)) {
		fetch_cancel(f);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	f->worker = w;
	f->tls = conf->tls;
	f->fields = conf->fields;
	f->authority = conf->authority;
	f->head_only = conf->head_only;
	f->status = conf->status;
	f->done = done;
	f->arg = arg;
	f->limit = conf->limit;
	f->max = conf->max;
	if (url_parse(&f->url, conf->url, &why) < 0 || fetch_connect(f, &why) < 0) {
		fetch_cancel(f);
		adit_err_set(e, why.code, "%s", why.text);
		return NULL;
	}
	adit_timer_set(f->timer, f->limit);
	return f;
}
