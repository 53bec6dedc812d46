#include "core/tunnel/ingress_plugin.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <jansson.h>

#include "core/config/model.h"
#include "core/conn/tls_creds.h"
#include "core/runtime/text_hash.h"
#include "core/source/fetch.h"

#define LIMIT_NS ADIT_SECONDS(5)	/* for an answer, where no timeout is given */
#define KNOWN_NS ADIT_SECONDS(10)	/* a rule is good for, where no reload is given */
#define UNKNOWN_NS ADIT_SECONDS(2)	/* at most: that there is none */
#define RETRY_NS ADIT_SECONDS(1)	/* between two questions that are not answered */
#define DROPPED_LOG_NS ADIT_SECONDS(60)	/* between two lines of a worker about offers */
#define BUCKETS 1024			/* a power of 2 */

/* What is known of one host at a service, or being asked. */
struct told {
	struct part		*part;
	LIST_ENTRY(told)	 bucket;
	TAILQ_ENTRY(told)	 used;		/* in its list, the last used first */
	struct told_list	*list;
	struct fetch		*fetch;		/* the question, or NULL */
	struct adit_lookup	*waiting;
	uint16_t		 port;		/* of who asked first; 0: none */
	int			 result;	/* -EAGAIN: nothing is known; else as find's */
	struct adit_rule	 rule;
	uint64_t		 until;
	const char		*service;	/* behind host */
	char			 host[];
};

TAILQ_HEAD(told_queue, told);
LIST_HEAD(told_bucket, told);

struct told_list {
	struct told_queue	queue;
	size_t			n, max;
};

/* An offer under way. */
struct offer {
	LIST_ENTRY(offer)	 entry;
	struct part		*part;
	struct fetch		*fetch;
};

/* What one worker has, touched by it alone. */
struct part {
	struct ingress_plugin	*of;
	struct adit_worker	*worker;
	struct adit_message	 end;
	struct told_bucket	 buckets[BUCKETS];
	struct told_list	 known, unknown;	/* with a rule, or without */
	LIST_HEAD(, offer)	 offers;
	unsigned		 questions;		/* and offers, under way */
	uint64_t		 dropped;		/* offers, since the last line about them */
	uint64_t		 next_line;		/* when there may be another one */
};

struct ingress_plugin {
	atomic_uint		 refs;		/* the owner's and the parts' */
	char			*name, *url, *from, *token;	/* from: url for the log */
	struct tls_source	*tls;
	struct adit_log		*log;
	struct adit_worker	*home;
	uint64_t		 limit, good_for;
	uint64_t		 seed;
	atomic_bool		 failing;	/* as has been said; any worker's question tells */
	_Atomic(struct part *)	 parts[ADIT_WORKERS_MAX];	/* each made by its worker */
};

/* ---- waiting ------------------------------------------------------------------------------ */

static void
told_add_waiting(struct told *t, struct adit_lookup *q)
{
	q->next = t->waiting;
	if (q->next)
		q->next->prev = &q->next;
	q->prev = &t->waiting;
	t->waiting = q;
}

/* They may do anything but free t. */
static void
told_wake(struct told *t)
{
	struct adit_lookup *all = t->waiting, *q;

	t->waiting = NULL;
	if (all)
		all->prev = &all;
	while ((q = all)) {
		adit_lookup_end(q);
		q->known(q);
	}
}

/* ---- what is remembered --------------------------------------------------------------------- */

static struct told_bucket *
part_bucket(struct part *p, const char *service, const char *host)
{
	uint64_t h = text_hash(host, text_hash(service, p->of->seed));

	return &p->buckets[h & (BUCKETS - 1)];
}

static struct told *
part_find(struct part *p, const char *service, const char *host)
{
	struct told *t;

	LIST_FOREACH(t, part_bucket(p, service, host), bucket)
		if (strcmp(t->host, host) == 0 && strcmp(t->service, service) == 0)
			return t;
	return NULL;
}

static void
told_put_in(struct told *t, struct told_list *list)
{
	TAILQ_REMOVE(&t->list->queue, t, used);
	t->list->n--;
	t->list = list;
	TAILQ_INSERT_HEAD(&list->queue, t, used);
	list->n++;
}

static void
told_free(struct told *t)
{
	fetch_cancel(t->fetch);
	while (t->waiting)
		adit_lookup_end(t->waiting);
	TAILQ_REMOVE(&t->list->queue, t, used);
	t->list->n--;
	LIST_REMOVE(t, bucket);
	free(t);
}

/* Forgets what was not used for longest, as long as there is too much. */
static void
told_list_trim(struct told_list *list)
{
	struct told *t = TAILQ_LAST(&list->queue, told_queue), *before;

	for (; t && list->n > list->max; t = before) {
		before = TAILQ_PREV(t, told_queue, used);
		if (!t->fetch && !t->waiting)
			told_free(t);
	}
}

static struct told *
part_add(struct part *p, const char *host, const struct adit_lookup *q)
{
	size_t size = strlen(host) + 1, service_size = strlen(q->service) + 1;
	struct told *t = calloc(1, sizeof(*t) + size + service_size);

	if (!t)
		return NULL;
	memcpy(t->host, host, size);
	t->service = memcpy(t->host + size, q->service, service_size);
	t->port = q->port;
	t->part = p;
	t->result = -EAGAIN;
	t->list = &p->unknown;
	TAILQ_INSERT_HEAD(&t->list->queue, t, used);
	t->list->n++;
	LIST_INSERT_HEAD(part_bucket(p, t->service, host), t, bucket);
	told_list_trim(t->list);
	return t;
}

/* ---- the parts' lives ------------------------------------------------------------------------ */

static void
plugin_put(struct ingress_plugin *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	tls_source_free(p->tls);
	if (p->token)
		explicit_bzero(p->token, strlen(p->token));
	if (p->url)
		explicit_bzero(p->url, strlen(p->url));
	free(p->token);
	free(p->url);
	free(p->from);
	free(p->name);
	free(p);
}

static void
offer_free(struct offer *o)
{
	LIST_REMOVE(o, entry);
	fetch_cancel(o->fetch);
	free(o);
}

static void
part_destroy(struct part *p)
{
	struct ingress_plugin *of = p->of;

	while (!LIST_EMPTY(&p->offers))
		offer_free(LIST_FIRST(&p->offers));
	while (!TAILQ_EMPTY(&p->known.queue))
		told_free(TAILQ_FIRST(&p->known.queue));
	while (!TAILQ_EMPTY(&p->unknown.queue))
		told_free(TAILQ_FIRST(&p->unknown.queue));
	free(p);
	plugin_put(of);
}

/* Who waits asks again, whoever has taken our place. */
static void
part_end(struct adit_message *m, struct adit_worker *w)
{
	struct part *p = adit_container_of(m, struct part, end);
	struct told_list *const lists[] = { &p->known, &p->unknown };
	struct told *t;

	(void)w;
	for (int i = 0; i < 2; i++)
		TAILQ_FOREACH(t, &lists[i]->queue, used)
			told_wake(t);
	part_destroy(p);
}

static void
part_discard(struct adit_message *m)
{
	part_destroy(adit_container_of(m, struct part, end));
}

static void
told_list_init(struct told_list *list, size_t max)
{
	TAILQ_INIT(&list->queue);
	list->max = max;
}

/* w's own, made when it first needs it; NULL: out of memory. */
static struct part *
plugin_part(struct ingress_plugin *of, struct adit_worker *w)
{
	unsigned index = adit_worker_index(w);
	struct part *p = atomic_load_explicit(&of->parts[index], memory_order_relaxed);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->of = of;
	p->worker = w;
	told_list_init(&p->known, INGRESS_KNOWN_MAX);
	told_list_init(&p->unknown, INGRESS_UNKNOWN_MAX);
	atomic_fetch_add_explicit(&of->refs, 1, memory_order_relaxed);
	atomic_store_explicit(&of->parts[index], p, memory_order_release);
	return p;
}

/* ---- answers ----------------------------------------------------------------------------- */

static void
plugin_failed(struct ingress_plugin *p, const char *why)
{
	if (!atomic_exchange(&p->failing, true))
		adit_log(p->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", p->name)),
			 "%s: %s: rules that are known stay, other hosts are not served", p->from,
			 why);
}

static void
plugin_is_well(struct ingress_plugin *p)
{
	if (atomic_load_explicit(&p->failing, memory_order_relaxed) &&
	    atomic_exchange(&p->failing, false))
		adit_log(p->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("ingress", p->name)),
			 "%s: answers again", p->from);
}

/*
 * {"endpoint":"[$]uuid"}: 0, or ADIT_ENOROUTE where that is empty or no UUID, or -EBADMSG: no such
 * answer.
 */
static int
read_answer(const char *text, size_t len, struct adit_rule *rule)
{
	json_t *answer = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *endpoint = json_object_get(answer, "endpoint");
	const char *id = endpoint ? json_string_value(endpoint) : "";
	int err = json_is_object(answer) && id ? ADIT_ENOROUTE : -EBADMSG;

	if (err == ADIT_ENOROUTE) {
		rule->private_ = *id == '$';
		if (adit_uuid_parse(id + rule->private_, false, &rule->tunnel) == 0)
			err = 0;
	}
	json_decref(answer);
	return err;
}

static void
told_take(struct told *t, int result, const struct adit_rule *rule, uint64_t good_for)
{
	struct part *p = t->part;

	t->result = result;
	t->rule = *rule;
	t->until = adit_now() + good_for;
	told_put_in(t, result ? &p->unknown : &p->known);
}

static void
told_failed(struct told *t, const char *why)
{
	plugin_failed(t->part->of, why);
	if (t->result != 0)
		t->result = ADIT_ENORULES;
	t->until = adit_now() + RETRY_NS;
}

static void
told_answered(void *arg, char *text, size_t len, const struct adit_err *e)
{
	struct told *t = arg;
	struct part *p = t->part;
	struct adit_rule rule = { .private_ = false };
	uint64_t good_for = p->of->good_for;
	int result = text ? read_answer(text, len, &rule) : e->code == -ENOENT ? ADIT_ENOROUTE : 1;

	t->fetch = NULL;
	p->questions--;
	if (result == 0 || result == ADIT_ENOROUTE) {
		plugin_is_well(p->of);
		told_take(t, result, &rule,
			  result && good_for > UNKNOWN_NS ? UNKNOWN_NS : good_for);
	} else {
		told_failed(t, text ? "no answer of an ingress plugin's" : e->text);
	}
	told_wake(t);
	told_list_trim(&p->known);
	told_list_trim(&p->unknown);
}

/* ---- questions ---------------------------------------------------------------------------- */

/* Appends text as it may stand in a query's value, whatever it is. */
static void
append_encoded(FILE *to, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			fputc(c, to);
		else
			fprintf(to, "%%%02X", c);
	}
}

/* Rules do not depend on ports, but plugins are used to them. */
static char *
question_url(const struct ingress_plugin *p, const struct told *t)
{
	char *url = NULL;
	size_t size;
	FILE *to = open_memstream(&url, &size);

	if (!to)
		return NULL;
	fprintf(to, "%s%chost=", p->url, strchr(p->url, '?') ? '&' : '?');
	append_encoded(to, t->host);
	if (t->port)
		fprintf(to, "%%3A%u", t->port);
	fputs("&service=", to);
	append_encoded(to, t->service);
	if (fclose(to) == 0)
		return url;
	free(url);
	return NULL;
}

static struct fetch *
part_fetch(struct part *p, const struct fetch_conf *what, fetch_done *done, void *arg,
	   struct adit_err *e)
{
	struct fetch_conf conf = *what;
	struct fetch *f;

	conf.token = p->of->token;
	conf.tls = p->of->tls;
	conf.max = INGRESS_ANSWER_MAX;
	conf.limit = p->of->limit;
	f = fetch_begin(p->worker, &conf, done, arg, e);
	if (f)
		p->questions++;
	return f;
}

static int
told_ask(struct told *t)
{
	struct part *p = t->part;
	struct adit_err e = ADIT_ERR_INIT;
	struct fetch_conf conf = { .method = NULL };
	char *url;

	if (p->questions >= INGRESS_QUESTIONS_MAX)
		return ADIT_ENORULES;
	url = question_url(p->of, t);
	conf.url = url;
	if (url)
		t->fetch = part_fetch(p, &conf, told_answered, t, &e);
	if (url)
		explicit_bzero(url, strlen(url));
	free(url);
	if (t->fetch)
		return 0;
	told_failed(t, url ? e.text : "out of memory");
	return ADIT_ENORULES;
}

int
ingress_plugin_find(struct ingress_plugin *of, struct adit_worker *w, const char *service,
		    const char *host, struct adit_rule *out)
{
	struct part *p = plugin_part(of, w);
	struct told *t = p ? part_find(p, service, host) : NULL;

	if (!p)
		return ADIT_ENORULES;
	if (!t)
		return -EAGAIN;
	told_put_in(t, t->list);
	*out = t->rule;
	if (t->result != -EAGAIN && adit_now() < t->until)
		return t->result;
	if (t->result || (!atomic_load_explicit(&of->failing, memory_order_relaxed) &&
			  (t->fetch || p->questions < INGRESS_QUESTIONS_MAX)))
		return -EAGAIN;
	if (!t->fetch)		/* meanwhile the last good rule stays, and nobody waits */
		told_ask(t);
	return 0;
}

int
ingress_plugin_wait(struct ingress_plugin *of, struct adit_worker *w, const char *host,
		    struct adit_lookup *q)
{
	struct part *p = plugin_part(of, w);
	struct told *t = p ? part_find(p, q->service, host) : NULL;
	int err = 0;

	if (p && !t)
		t = part_add(p, host, q);
	if (!t)
		return ADIT_ENORULES;
	if (!t->fetch)
		err = told_ask(t);
	if (!err)
		told_add_waiting(t, q);
	return err;
}

/* ---- offers --------------------------------------------------------------------------------- */

static void
offer_answered(void *arg, char *text, size_t len, const struct adit_err *e)
{
	struct offer *o = arg;
	struct part *p = o->part;

	(void)text;
	(void)len;
	if (e && e->code != ADIT_EREFUSED && e->code != -ENOENT)
		plugin_failed(p->of, e->text);
	p->questions--;
	o->fetch = NULL;
	offer_free(o);
}

/* As many as may be are under way. */
static void
part_drop_offer(struct part *p)
{
	const struct ingress_plugin *of = p->of;
	uint64_t now = adit_now();

	p->dropped++;
	if (now < p->next_line)
		return;
	adit_log(of->log, ADIT_LOG_WARN,
		 ADIT_FIELDS(ADIT_STR("ingress", of->name), ADIT_UINT("dropped", p->dropped)),
		 "%s: is not told of a tunnel: %d questions are under way", of->from,
		 INGRESS_QUESTIONS_MAX);
	p->dropped = 0;
	p->next_line = now + DROPPED_LOG_NS;
}

static char *
offer_text(const struct adit_offer *offer)
{
	char tunnel[37];
	json_t *message;
	char *text;

	adit_uuid_format(&offer->tunnel, tunnel);
	message = json_pack("{s:s,s:s,s:s}", "service", offer->service, "host", offer->host,
			    "endpoint", tunnel);
	text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	return text;
}

void
ingress_plugin_offer(struct ingress_plugin *of, struct adit_worker *w,
		     const struct adit_offer *offer)
{
	struct part *p = plugin_part(of, w);
	struct fetch_conf conf = { .url = of->url, .method = "PUT" };
	struct adit_err e = ADIT_ERR_INIT;
	struct offer *o;
	char *text;

	if (!p)
		return;
	if (p->questions >= INGRESS_QUESTIONS_MAX) {
		part_drop_offer(p);
		return;
	}
	o = calloc(1, sizeof(*o));
	text = offer_text(offer);
	conf.body = text;
	if (o && text) {
		o->part = p;
		o->fetch = part_fetch(p, &conf, offer_answered, o, &e);
	}
	free(text);
	if (o && o->fetch) {
		LIST_INSERT_HEAD(&p->offers, o, entry);
	} else {
		plugin_failed(of, e.code ? e.text : "out of memory");
		free(o);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static int
plugin_set(struct ingress_plugin *p, const struct ingress_conf *conf, struct adit_err *e)
{
	const struct plugin_conf *from = conf->plugin;
	const struct adit_tls_conf checked = { .secure = true };
	const char *scheme = strstr(from->addr, "://") ? "" : "http://";
	bool https;

	p->limit = from->timeout > 0 ? (uint64_t)from->timeout : LIMIT_NS;
	p->good_for = conf->loader.reload > 0 ? (uint64_t)conf->loader.reload : KNOWN_NS;
	p->name = strdup(conf->name ? conf->name : "");
	p->token = from->token ? strdup(from->token) : NULL;
	if (asprintf(&p->url, "%s%s", scheme, from->addr) < 0)
		p->url = NULL;
	p->from = p->url ? fetch_url_for_log(p->url) : NULL;
	if (!p->name || !p->from || (from->token && !p->token))
		return adit_err_set(e, -ENOMEM, "out of memory");
	if (from->type != PLUGIN_HTTP)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "plugin: type: grpc is not available in this build");
	if (fetch_check_url(p->url, &https, e) < 0)
		return adit_err_context(e, "plugin: addr");
	if (https)
		p->tls = tls_source_new(from->tls ? &from->tls->tls : &checked, TLS_CLIENT, p->log,
					e);
	return !https || p->tls ? 0 : adit_err_context(e, "plugin: tls");
}

struct ingress_plugin *
ingress_plugin_new(struct adit_worker *home, const struct ingress_conf *conf, struct adit_log *log,
		   struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled */
	struct ingress_plugin *p = calloc(1, sizeof(*p));

	if (!p) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&p->refs, 1);
	p->home = home;
	p->log = log;
	adit_random(&p->seed, sizeof(p->seed));
	if (plugin_set(p, conf, &why) == 0)
		return p;
	adit_err_set(e, why.code, "%s", why.text);
	plugin_put(p);
	return NULL;
}

void
ingress_plugin_free(struct ingress_plugin *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < adit_worker_count(p->home); i++) {
		struct part *part = atomic_load_explicit(&p->parts[i], memory_order_acquire);

		if (!part)
			continue;
		part->end = (struct adit_message){ .run = part_end, .discard = part_discard };
		adit_worker_post(part->worker, &part->end);
	}
	plugin_put(p);
}
