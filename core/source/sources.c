#include "core/source/sources.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/tls_creds.h"
#include "core/runtime/watched_file.h"
#include "core/source/fetch.h"
#include "core/source/redis.h"

#define RELOAD_MIN ADIT_SECONDS(1)
#define LIMIT_NS ADIT_SECONDS(10)	/* for one reading, where none is configured */
#define RETRY_MIN_MS 250		/* while nothing was read yet; doubled up to: */
#define RETRY_MAX_MS 30000

/* Counted, since the next configuration's sources may begin with it. */
struct text {
	atomic_uint	refs;
	size_t		len;
	char		p[];
};

enum part_kind { PART_FILE, PART_REDIS, PART_HTTP };

/* One place; of home, but for what is said otherwise. */
struct part {
	struct sources		*of;
	enum part_kind		 kind;
	char			*from, *url;	/* url: may be a secret */
	struct redis_conf	 redis;		/* its texts are owned */
	struct tls_source	*tls;		/* NULL: none */
	uint64_t		 limit;

	struct watched_file	*file;
	struct fetch		*fetch;		/* what is under way */
	struct redis_talk	*read;
	struct adit_timer	*timer;
	struct text		*text;		/* what counts; changed under the lock of sources */
	struct text		*fresh;		/* read, and being made or waiting for that */
	bool			 known, failing;
	bool			 seen;		/* by itself: what is known may be inherited */
	unsigned		 retries;
};

struct sources {
	struct sources_conf	 conf;
	char			*name;
	uint64_t		 reload;
	struct adit_worker	*home;
	pthread_mutex_t		 lock;		/* the parts' text */
	struct part		 parts[SOURCES_MAX];
	size_t			 n;
	atomic_bool		 all_known;
	struct adit_message	 start, stop;
	bool			 started, stopping;

	/* Making a list: of the job while it runs. */
	struct adit_job		 job;
	bool			 running;
	struct part		*candidate;
	struct text		*judged;	/* candidate's, one of held */
	struct source_text	 texts[SOURCES_MAX];
	struct text		*held[SOURCES_MAX];	/* referenced: they are texts' */
	size_t			 n_texts;
	void			*made;
	struct adit_err		 err;
};

/* ---- texts ---------------------------------------------------------------------------------- */

static struct text *
text_new(const char *p, size_t len)
{
	struct text *t = malloc(sizeof(*t) + len + 1);

	if (!t)
		return NULL;
	atomic_init(&t->refs, 1);
	t->len = len;
	memcpy(t->p, p, len);
	t->p[len] = '\0';
	return t;
}

static struct text *
text_get(struct text *t)
{
	if (t)
		atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

static void
text_put(void *text)
{
	struct text *t = text;

	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	explicit_bzero(t->p, t->len);
	free(t);
}

static bool
text_equal(const struct text *a, const struct text *b)
{
	return a && b && a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void
free_secret(const char *text)
{
	char *p = (char *)(uintptr_t)text;

	if (p)
		explicit_bzero(p, strlen(p));
	free(p);
}

static void
part_drop_fresh(struct part *p)
{
	text_put(p->fresh);
	p->fresh = NULL;
}

static void
part_fini(struct part *p)
{
	fetch_cancel(p->fetch);
	redis_cancel(p->read);
	adit_timer_free(p->timer);
	tls_source_free(p->tls);
	text_put(p->text);
	part_drop_fresh(p);
	free(p->from);
	free_secret(p->url);
	free_secret(p->redis.addr);
	free_secret(p->redis.username);
	free_secret(p->redis.password);
	free_secret(p->redis.key);
	free_secret(p->redis.type);
}

static void
sources_release(struct sources *s)
{
	for (size_t i = 0; i < s->n_texts; i++)
		text_put(s->held[i]);
	s->n_texts = 0;
}

static void
sources_destroy(struct sources *s)
{
	sources_release(s);
	for (size_t i = 0; i < s->n; i++)
		part_fini(&s->parts[i]);
	if (s->made)
		s->conf.drop(s->made);
	if (s->conf.gone)
		s->conf.gone(s->conf.arg);
	pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s);
}

static void
part_file_gone(void *arg)
{
	struct part *p = arg;

	sources_destroy(p->of);
}

static void
sources_end(struct sources *s)
{
	struct watched_file *file = s->n ? s->parts[0].file : NULL;

	if (file)
		watched_file_free(file);	/* and then the rest */
	else
		sources_destroy(s);
}

/* ---- making a list ------------------------------------------------------------------------- */

/*
 * What the parts say, with candidate's fresh text if there is one. They are held: a file may change
 * or go while a list is made of them.
 */
static void
sources_gather(struct sources *s, const struct part *candidate)
{
	sources_release(s);
	for (size_t i = 0; i < s->n; i++) {
		const struct part *p = &s->parts[i];
		struct text *t = p == candidate ? p->fresh : p->text;

		if (!t)
			continue;
		s->held[s->n_texts] = text_get(t);
		s->texts[s->n_texts++] = (struct source_text){
			.from = p->from, .text = t->p, .len = t->len,
		};
	}
}

static void
sources_work(struct adit_job *j)
{
	struct sources *s = adit_container_of(j, struct sources, job);

	s->made = s->conf.make(s->conf.arg, s->texts, s->n_texts, &s->err);
}

static void
part_set_text(struct part *p, struct text *t)
{
	struct text *old = p->text;

	pthread_mutex_lock(&p->of->lock);
	p->text = t;
	pthread_mutex_unlock(&p->of->lock);
	text_put(old);
}

/* Its next reading. */
static void
part_rest(struct part *p)
{
	struct sources *s = p->of;
	uint64_t retry = ADIT_MS(RETRY_MIN_MS) << (p->retries < 7 ? p->retries : 7);

	if (!p->timer || (p->kind == PART_FILE && !p->fresh))
		return;
	if (!p->seen && (!s->reload || retry < s->reload)) {
		p->retries++;
		adit_timer_set(p->timer, retry < ADIT_MS(RETRY_MAX_MS) ? retry :
							ADIT_MS(RETRY_MAX_MS));
	} else if (s->reload || p->fresh) {
		adit_timer_set(p->timer, s->reload ? s->reload : RELOAD_MIN);
	}
}

/* Whether all have been read, p among them. */
static bool
sources_with(const struct sources *s, const struct part *p)
{
	bool all = true;

	for (size_t i = 0; i < s->n; i++)
		all &= s->parts[i].known || &s->parts[i] == p;
	return all;
}

static void
part_forget(struct part *p)
{
	struct sources *s = p->of;

	p->known = false;
	atomic_store_explicit(&s->all_known, false, memory_order_release);
	part_set_text(p, NULL);
	s->conf.lost(s->conf.arg);
}

static void
part_failed(struct part *p, const struct adit_err *e)
{
	const struct sources_conf *conf = &p->of->conf;

	if (p->kind == PART_FILE && conf->lost && p->known)
		part_forget(p);
	if (!p->failing)
		adit_log(conf->log, !p->known && conf->without ? ADIT_LOG_ERROR : ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR(conf->kind, p->of->name)), "%s: %s", e->text,
			 p->known ? conf->stays : conf->without ? conf->without :
			 "nothing was read from there yet");
	p->failing = true;
}

static void
part_is_well(struct part *p)
{
	const struct sources_conf *conf = &p->of->conf;

	if (p->failing)
		adit_log(conf->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR(conf->kind, p->of->name)),
			 "%s: is read again", p->from);
	p->failing = false;
	p->known = p->seen = true;
	atomic_store_explicit(&p->of->all_known, sources_with(p->of, p), memory_order_release);
}

/*
 * What was made of the candidate's text, if it is not outdated: the file has gone meanwhile, or is
 * as it was before, or has another text that will be judged.
 */
static void
sources_judge(struct sources *s, void *made)
{
	struct part *p = s->candidate;
	struct text *text = s->judged;

	if (!p->fresh || (p->fresh != text && !made)) {
		if (made)
			s->conf.drop(made);
		return;
	}
	if (made && !s->conf.take(s->conf.arg, made, p->from, sources_with(s, p)))
		return;
	if (made) {
		part_set_text(p, text_get(text));
		part_is_well(p);
	} else {
		adit_err_context(&s->err, "%s", p->from);
		part_failed(p, &s->err);
	}
	if (p->fresh == text)
		part_drop_fresh(p);
}

static void sources_build(struct sources *s);	/* one list after the other */

static void
sources_built(struct adit_job *j, struct adit_worker *w, bool cancelled)
{
	struct sources *s = adit_container_of(j, struct sources, job);
	struct part *p = s->candidate;
	void *made = s->made;
	bool again;

	(void)w;
	s->running = false;
	if (s->stopping) {
		sources_end(s);
		return;
	}
	s->made = NULL;
	if (cancelled)
		return;
	sources_judge(s, made);
	again = p->fresh == s->judged;		/* it was not taken: later */
	sources_release(s);
	part_rest(p);
	if (!again)
		sources_build(s);
}

static void
sources_build(struct sources *s)
{
	struct part *p = s->parts, *end = s->parts + s->n;

	while (p < end && !p->fresh)
		p++;
	if (p == end || s->running || s->stopping)
		return;
	s->candidate = p;
	s->judged = p->fresh;
	s->err = (struct adit_err)ADIT_ERR_INIT;
	sources_gather(s, p);
	s->job = (struct adit_job){ .work = sources_work, .done = sources_built };
	s->running = adit_job_run(s->home, &s->job) == 0;
	if (s->running)
		return;
	sources_release(s);
	part_rest(p);
}

/* ---- reading ------------------------------------------------------------------------ */

/* What a place says now; text NULL: e says why it does not. */
static void
part_read(void *arg, char *text, size_t len, const struct adit_err *e)
{
	struct part *p = arg;
	struct text *fresh = text ? text_new(text, len) : NULL;
	struct adit_err why = ADIT_ERR_INIT;

	p->fetch = NULL;
	p->read = NULL;
	if (fresh && text_equal(fresh, p->text)) {
		text_put(fresh);
		part_is_well(p);
		part_rest(p);
	} else if (fresh) {
		p->fresh = fresh;
		sources_build(p->of);
	} else {
		adit_err_set(&why, e ? e->code : -ENOMEM, "%s: %s", p->from,
			     e ? e->text : "out of memory");
		part_failed(p, &why);
		part_rest(p);
	}
}

static void
part_ask_url(struct part *p, struct adit_err *e)
{
	const struct fetch_conf conf = {
		.url = p->url, .tls = p->tls, .max = p->of->conf.max, .limit = p->limit,
	};

	p->fetch = fetch_begin(p->of->home, &conf, part_read, p, e);
}

static void
part_ask_redis(struct part *p, struct adit_err *e)
{
	const struct redis_ask ask = {
		.conf = &p->redis, .tls = p->tls, .max = p->of->conf.max, .limit = p->limit,
	};

	p->read = redis_begin(p->of->home, &ask, part_read, p, e);
}

static void
part_look(void *arg)
{
	struct part *p = arg;
	struct adit_err e = ADIT_ERR_INIT;

	if (p->fresh || p->kind == PART_FILE) {		/* which is looked at elsewhere */
		sources_build(p->of);
		return;
	}
	if (p->kind == PART_HTTP)
		part_ask_url(p, &e);
	else
		part_ask_redis(p, &e);
	if (e.code)
		part_read(p, NULL, 0, &e);
}

/* ---- the file ------------------------------------------------------------------------------- */

static void *
part_file_parse(void *arg, char *text, struct adit_err *e)
{
	struct text *t = text_new(text, strlen(text));

	(void)arg;
	if (!t)
		adit_err_set(e, -ENOMEM, "out of memory");
	return t;
}

static void
part_file_take(void *arg, void *made)
{
	struct part *p = arg;

	part_drop_fresh(p);
	if (text_equal(made, p->text)) {
		text_put(made);
		part_is_well(p);
		return;
	}
	p->fresh = made;
	sources_build(p->of);
}

static void
part_file_failed(void *arg, const struct adit_err *e)
{
	struct part *p = arg;

	if (p->of->conf.lost)
		part_drop_fresh(p);
	part_failed(p, e);
}

static int
part_set_file(struct part *p, const struct file_conf *file, struct adit_err *e)
{
	const struct watched_file_conf conf = {
		.path = file->path, .reload = p->of->reload, .max = p->of->conf.max,
		.parse = part_file_parse, .take = part_file_take, .failed = part_file_failed,
		.drop = text_put, .gone = part_file_gone, .arg = p,
	};

	p->kind = PART_FILE;
	p->from = strdup(file->path);
	if (p->from)
		p->file = watched_file_new(p->of->home, &conf);
	return p->file ? 0 : adit_err_set(e, -ENOMEM, "out of memory");
}

/* ---- making it ------------------------------------------------------------------------------- */

static int
part_set_tls(struct part *p, const struct tls_conf *tls, struct adit_err *e)
{
	const struct adit_tls_conf checked = { .secure = true };

	p->tls = tls_source_new(tls ? &tls->tls : &checked, TLS_CLIENT, p->of->conf.log, e);
	return p->tls ? 0 : adit_err_context(e, "tls");
}

static int
part_set_url(struct part *p, const struct url_conf *conf, struct adit_err *e)
{
	bool https;

	p->kind = PART_HTTP;
	p->limit = conf->timeout > 0 ? (uint64_t)conf->timeout : LIMIT_NS;
	p->url = strdup(conf->url);
	p->from = fetch_url_for_log(conf->url);
	if (!p->url || !p->from)
		return adit_err_set(e, -ENOMEM, "out of memory");
	if (fetch_check_url(conf->url, &https, e) < 0)
		return adit_err_context(e, "http: url");
	if (!https || part_set_tls(p, conf->tls, e) == 0)
		return 0;
	return adit_err_context(e, "http");
}

static bool
copy(const char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return *to || !text;
}

static int
part_set_redis(struct part *p, const struct redis_conf *conf, struct adit_err *e)
{
	p->kind = PART_REDIS;
	p->limit = conf->timeout > 0 ? (uint64_t)conf->timeout : LIMIT_NS;
	p->redis.db = conf->db;
	if (asprintf(&p->from, "redis %s %s", conf->addr, conf->key ? conf->key : "gost") < 0)
		p->from = NULL;
	if (!p->from || !copy(&p->redis.addr, conf->addr) || !copy(&p->redis.key, conf->key) ||
	    !copy(&p->redis.username, conf->username) ||
	    !copy(&p->redis.password, conf->password) ||
	    !copy(&p->redis.type, conf->type ? conf->type : p->of->conf.redis_type))
		return adit_err_set(e, -ENOMEM, "out of memory");
	if (redis_check(conf, e) == 0 && (!conf->tls || part_set_tls(p, conf->tls, e) == 0))
		return 0;
	return adit_err_context(e, "redis");
}

static struct part *
sources_add(struct sources *s)
{
	struct part *p = &s->parts[s->n++];

	p->of = s;
	return p;
}

static int
sources_fill(struct sources *s, struct adit_err *e)
{
	const struct loader_conf *loader = s->conf.loader;
	int err = 0;

	if (loader->file)
		err = part_set_file(sources_add(s), loader->file, e);
	if (!err && loader->redis)
		err = part_set_redis(sources_add(s), loader->redis, e);
	if (!err && loader->http)
		err = part_set_url(sources_add(s), loader->http, e);
	return err;
}

struct sources *
sources_new(struct adit_worker *home, const struct sources_conf *conf, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled, or NULL */
	struct sources *s = calloc(1, sizeof(*s));

	if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	s->home = home;
	s->conf = *conf;
	s->reload = conf->loader->reload > 0 ? (uint64_t)conf->loader->reload : 0;
	if (s->reload && s->reload < RELOAD_MIN)
		s->reload = RELOAD_MIN;
	s->name = strdup(conf->name ? conf->name : "");
	if (!s->name)
		adit_err_set(&why, -ENOMEM, "out of memory");
	if (s->name && sources_fill(s, &why) == 0) {
		atomic_init(&s->all_known, s->n == 0);
		s->conf.loader = NULL;		/* only valid until now */
		return s;
	}
	s->conf.gone = NULL;
	sources_end(s);
	adit_err_set(e, why.code, "%s", why.text);
	return NULL;
}

static bool
text_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool
part_same(const struct part *a, const struct part *b)
{
	return a->kind == b->kind && a->kind != PART_FILE && text_same(a->url, b->url) &&
	       text_same(a->redis.addr, b->redis.addr) && text_same(a->redis.key, b->redis.key) &&
	       text_same(a->redis.type, b->redis.type) && a->redis.db == b->redis.db;
}

void
sources_inherit(struct sources *s, struct sources *from)
{
	if (!from)
		return;
	pthread_mutex_lock(&from->lock);
	for (size_t i = 0; i < s->n; i++)
		for (size_t j = 0; j < from->n; j++)
			if (!s->parts[i].text && part_same(&s->parts[i], &from->parts[j]))
				s->parts[i].text = text_get(from->parts[j].text);
	pthread_mutex_unlock(&from->lock);
}

/* What was inherited may be of no use here: what is read from there is judged then. */
static void *
sources_make_without(struct sources *s, struct adit_err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->parts[i].kind == PART_FILE)
			continue;
		text_put(s->parts[i].text);
		s->parts[i].text = NULL;
	}
	sources_gather(s, NULL);
	return s->conf.make(s->conf.arg, s->texts, s->n_texts, e);
}

void *
sources_read(struct sources *s, struct adit_err *e)
{
	struct part *first = s->n ? &s->parts[0] : NULL;
	struct adit_err why = ADIT_ERR_INIT;
	void *made;

	if (first && first->file) {
		first->text = watched_file_read(first->file, e);
		if (!first->text)
			return NULL;
	}
	sources_gather(s, NULL);
	made = s->conf.make(s->conf.arg, s->texts, s->n_texts, &why);
	if (!made) {
		why = (struct adit_err)ADIT_ERR_INIT;
		made = sources_make_without(s, &why);
	}
	for (size_t i = 0; i < s->n; i++)
		s->parts[i].known = s->parts[i].text;
	sources_release(s);
	atomic_store(&s->all_known, sources_with(s, NULL));
	if (made)
		return made;
	if (first && first->file)
		adit_err_context(&why, "%s", first->from);
	adit_err_set(e, why.code, "%s", why.text);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------- */

static void
sources_begin(struct adit_message *m, struct adit_worker *w)
{
	struct sources *s = adit_container_of(m, struct sources, start);
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, -ENOMEM, "not read: out of memory");
	for (size_t i = 0; i < s->n; i++) {
		struct part *p = &s->parts[i];

		p->timer = adit_timer_new(w, part_look, p);
		if (p->file)
			watched_file_start(p->file);
		else if (p->timer)
			part_look(p);
		else
			part_failed(p, &e);
	}
}

void
sources_start(struct sources *s)
{
	if (!s->n)
		return;
	s->started = true;
	s->start = (struct adit_message){ .run = sources_begin };
	adit_worker_post(s->home, &s->start);
}

static void
sources_stop(struct adit_message *m, struct adit_worker *w)
{
	struct sources *s = adit_container_of(m, struct sources, stop);

	(void)w;
	s->stopping = true;
	for (size_t i = 0; i < s->n; i++) {
		struct part *p = &s->parts[i];

		fetch_cancel(p->fetch);
		redis_cancel(p->read);
		adit_timer_free(p->timer);
		p->fetch = NULL;
		p->read = NULL;
		p->timer = NULL;
	}
	if (!s->running)
		sources_end(s);
}

bool
sources_are_known(const struct sources *s)
{
	return atomic_load_explicit(&s->all_known, memory_order_acquire);
}

void
sources_free(struct sources *s)
{
	if (!s)
		return;
	if (!s->started) {
		sources_end(s);
		return;
	}
	s->stop = (struct adit_message){ .run = sources_stop };
	adit_worker_post(s->home, &s->stop);
}
