#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/config/model.h"
#include "core/tunnel/ingress_table.h"
#include "core/tunnel/rules.h"

#define RELOAD_MIN ADIT_SECONDS(1)

/* A change within one tick of the file system's clock after we looked would not be seen. */
#define SETTLED_NS ADIT_SECONDS(2)

/* Which state of the file was read. */
struct version {
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec	changed;
	bool		settled;	/* it had not been changed just then */
};

struct ingress_table {
	struct rules *_Atomic	 rules;
	char			*name, *path;	/* path NULL: no file */
	uint64_t		 reload;	/* 0: never */
	struct rules		*inlined;
	struct adit_log		*log;
	struct adit_worker	*home;

	/* Of home, and of the job while it runs. */
	struct adit_message	 start, stop;
	struct adit_timer	*timer;
	struct adit_job		 job;
	bool			 running;	/* the job is */
	bool			 stopping;
	bool			 failing;	/* as has been said */
	struct version		 version;
	struct rules		*fresh;		/* what the job read, or NULL */
	struct adit_err		 err;		/* or why not */
};

/* ---- reading the file -------------------------------------------------------------- */

static bool
version_equal(const struct version *a, const struct version *b)
{
	return a->settled && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static struct version
version_of(const struct stat *st)
{
	struct timespec now;
	struct version v = {
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .changed = st->st_ctim,
	};
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (int64_t)(now.tv_sec - v.changed.tv_sec) * 1000000000 +
	      (now.tv_nsec - v.changed.tv_nsec);
	v.settled = age >= (int64_t)SETTLED_NS;
	return v;
}

/* The whole of it, terminated, or NULL with e. */
static char *
read_text(int fd, size_t size, struct adit_err *e)
{
	char *text = malloc(size + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (!text) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	while (len < size && n) {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno != EINTR) {
			adit_err_set(e, -errno, "%s", adit_strerror(-errno));
			free(text);
			return NULL;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = 0;
	if (strlen(text) != len) {
		adit_err_set(e, -EINVAL, "not a text: it has a NUL byte");
		free(text);
		return NULL;
	}
	return text;
}

/* The inline rules with those of text over them, or NULL with e. */
static struct rules *
rules_over(const struct rules *inlined, const char *text, struct adit_err *e)
{
	struct rules *r = rules_new();

	if (!r || rules_merge(r, inlined) < 0)
		adit_err_set(e, -ENOMEM, "out of memory");
	else if (rules_add_text(r, text, e) == 0)
		return r;
	rules_free(r);
	return NULL;
}

/* Reads the open file if it is another one than seen, which is updated. NULL and no error: it is
 * the same. */
static struct rules *
load_open(int fd, const struct rules *inlined, struct version *seen, struct adit_err *e)
{
	struct version version;
	struct rules *r;
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0) {
		adit_err_set(e, -errno, "%s", adit_strerror(-errno));
		return NULL;
	}
	version = version_of(&st);
	if (version_equal(seen, &version))
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)INGRESS_FILE_MAX) {
		adit_err_set(e, -EINVAL, "not a file of at most %u MiB", INGRESS_FILE_MAX >> 20);
		return NULL;
	}
	text = read_text(fd, (size_t)st.st_size, e);
	if (!text)
		return NULL;
	r = rules_over(inlined, text, e);
	free(text);
	if (r)
		*seen = version;
	return r;
}

static void
warn_repeated(const struct ingress_table *t, const struct rules *r)
{
	unsigned first, again, n = rules_repeated(r, &first, &again);

	if (n)
		adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
			 "%s: line %u has the host of line %u, whose rule does not count%s",
			 t->path, again, first, n > 1 ? " (and more such lines)" : "");
}

static struct rules *
load(const struct ingress_table *t, struct version *seen, struct adit_err *e)
{
	/* Non-blocking: it might have become a pipe. */
	int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct rules *r = NULL;

	if (fd < 0) {
		adit_err_set(e, -errno, "%s", adit_strerror(-errno));
	} else {
		r = load_open(fd, t->inlined, seen, e);
		close(fd);
	}
	if (e->code)
		adit_err_context(e, "%s", t->path);
	if (r)
		warn_repeated(t, r);
	return r;
}

/* ---- changing rules under those who read them --------------------------------------- */

/* Old rules, freed when each worker has come by once: none can be in the middle of a lookup in
 * them. */
struct retired {
	struct rules		*rules;
	atomic_uint		 left;
	struct retired_message {
		struct adit_message	 message;
		struct retired		*all;
	} messages[];
};

static void
retired_pass(struct adit_message *m)
{
	struct retired *r = adit_container_of(m, struct retired_message, message)->all;

	if (atomic_fetch_sub_explicit(&r->left, 1, memory_order_acq_rel) != 1)
		return;
	rules_free(r->rules);
	free(r);
}

static void
retired_run(struct adit_message *m, struct adit_worker *w)
{
	(void)w;
	retired_pass(m);
}

static void
retire(struct retired *r, struct rules *rules, struct adit_worker *w)
{
	unsigned n = adit_worker_count(w);

	r->rules = rules;
	atomic_init(&r->left, n);
	for (unsigned i = 0; i < n; i++) {
		r->messages[i].all = r;
		r->messages[i].message = (struct adit_message){
			.run = retired_run, .discard = retired_pass,
		};
	}
	/* The last one may free r. */
	for (unsigned i = 0; i < n; i++)
		adit_worker_post(adit_worker_at(w, i), &r->messages[i].message);
}

static void
table_replace(struct ingress_table *t, struct rules *fresh)
{
	unsigned n = adit_worker_count(t->home);
	struct retired *r = calloc(1, sizeof(*r) + n * sizeof(*r->messages));

	if (!r) {	/* the next look finds it again */
		t->version = (struct version){ .settled = false };
		rules_free(fresh);
		return;
	}
	retire(r, atomic_exchange_explicit(&t->rules, fresh, memory_order_acq_rel), t->home);
	adit_log(t->log, ADIT_LOG_INFO, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
		 "%zu rules from %s", rules_count(fresh), t->path);
}

static void
table_destroy(struct ingress_table *t)
{
	adit_timer_free(t->timer);
	rules_free(t->fresh);
	rules_free(t->rules);
	rules_free(t->inlined);
	free(t->name);
	free(t->path);
	free(t);
}

/* ---- looking again -------------------------------------------------------------------- */

static void
table_work(struct adit_job *j)
{
	struct ingress_table *t = adit_container_of(j, struct ingress_table, job);

	t->fresh = load(t, &t->version, &t->err);
}

static void
table_looked(struct adit_job *j, struct adit_worker *w, bool cancelled)
{
	struct ingress_table *t = adit_container_of(j, struct ingress_table, job);
	struct rules *fresh = t->fresh;

	(void)w;
	t->running = false;
	if (t->stopping) {
		table_destroy(t);
		return;
	}
	t->fresh = NULL;
	if (fresh)
		table_replace(t, fresh);
	if (t->err.code && !t->failing)
		adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
			 "%s: the rules stay as they are", t->err.text);
	t->failing = t->err.code;
	if (!cancelled)
		adit_timer_set(t->timer, t->reload);
}

static void
table_look(void *arg)
{
	struct ingress_table *t = arg;

	t->err = (struct adit_err)ADIT_ERR_INIT;
	t->job = (struct adit_job){ .work = table_work, .done = table_looked };
	t->running = adit_job_run(t->home, &t->job) == 0;
	if (!t->running)
		adit_timer_set(t->timer, t->reload);
}

static void
table_start(struct adit_message *m, struct adit_worker *w)
{
	struct ingress_table *t = adit_container_of(m, struct ingress_table, start);

	t->timer = adit_timer_new(w, table_look, t);
	if (t->timer)
		adit_timer_set(t->timer, t->reload);
	else
		adit_log(t->log, ADIT_LOG_WARN, ADIT_FIELDS(ADIT_STR("ingress", t->name)),
			 "%s is not looked at again: out of memory", t->path);
}

static void
table_stop(struct adit_message *m, struct adit_worker *w)
{
	struct ingress_table *t = adit_container_of(m, struct ingress_table, stop);

	(void)w;
	t->stopping = true;
	if (!t->running)
		table_destroy(t);
}

/* ---- life -------------------------------------------------------------------------------- */

static int
table_add_inline(struct ingress_table *t, const struct rule_list *list, struct adit_err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct rule_conf *c = &list->v[i];
		const struct adit_rule rule = { .tunnel = c->endpoint, .private_ = c->private_ };

		if (rules_set(t->inlined, c->hostname, &rule, e) < 0)
			return adit_err_context(e, "rules[%zu]", i);
	}
	return 0;
}

static struct rules *
table_first_rules(struct ingress_table *t, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;
	struct rules *r;

	r = t->path ? load(t, &t->version, &why) : rules_over(t->inlined, "", &why);
	if (!r)
		adit_err_set(e, why.code, "%s", why.text);
	return r;
}

static struct ingress_table *
table_new(struct adit_worker *home, const struct ingress_conf *conf, struct adit_log *log)
{
	struct ingress_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->home = home;
	t->log = log;
	t->name = strdup(conf->name ? conf->name : "");
	t->inlined = rules_new();
	if (conf->loader.file)
		t->path = strdup(conf->loader.file->path);
	if (t->path && conf->loader.reload > 0)
		t->reload = (uint64_t)conf->loader.reload;
	if (t->reload && t->reload < RELOAD_MIN)
		t->reload = RELOAD_MIN;
	if (t->name && t->inlined && (t->path || !conf->loader.file))
		return t;
	table_destroy(t);
	return NULL;
}

struct ingress_table *
ingress_table_new(struct adit_worker *home, const struct ingress_conf *conf, struct adit_log *log,
		  struct adit_err *e)
{
	struct ingress_table *t = table_new(home, conf, log);
	struct rules *first = NULL;

	if (!t) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (table_add_inline(t, &conf->rules, e) == 0)
		first = table_first_rules(t, e);
	if (!first) {
		table_destroy(t);
		return NULL;
	}
	atomic_init(&t->rules, first);
	if (t->reload) {
		t->start = (struct adit_message){ .run = table_start };
		adit_worker_post(home, &t->start);
	}
	return t;
}

int
ingress_table_find(const struct ingress_table *t, const char *host, struct adit_rule *out)
{
	return rules_find(atomic_load_explicit(&t->rules, memory_order_acquire), host, out);
}

size_t
ingress_table_count(const struct ingress_table *t)
{
	return rules_count(atomic_load_explicit(&t->rules, memory_order_acquire));
}

void
ingress_table_free(struct ingress_table *t)
{
	if (!t)
		return;
	if (!t->reload) {
		table_destroy(t);
		return;
	}
	t->stop = (struct adit_message){ .run = table_stop };
	adit_worker_post(t->home, &t->stop);
}
