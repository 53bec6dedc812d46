#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <adit/conn.h>

#include "core/runtime/job.h"
#include "core/runtime/memory.h"
#include "core/runtime/timers.h"
#include "core/runtime/worker.h"

#define SCRATCH_SIZE 65536
#define SPARE_CHUNKS 64
#define TURN_LIMIT_NS ADIT_MS(5)	/* of callbacks; descriptors and timers are next */
#define LINGER_LIMIT_NS ADIT_SECONDS(5)
#define LINGER_LOOK_NS 1000000		/* how often all the workers that stop are looked at */
#define SETTLE_ROUNDS 1000		/* of callbacks that call for each other */
#define STARVED_LOOK_NS ADIT_MS(20)	/* how often those are looked at that wait for memory */
#define CUT_ROUNDS 64			/* layers that stand on one another */

struct slot {
	void	*value;
	void	(*fini)(void *);
};

struct io_list {
	struct io	*first, **last;
};

struct adit_worker {
	struct worker_group	*group;
	unsigned		 index;
	struct event_base	*base;
	bool			 own_base;
	pthread_t		 thread;

	struct event		 turn;		/* runs worker_turn */
	bool			 turn_set, in_turn;
	struct io_list		 run;		/* to be called, in this turn if one is under way */
	struct io_list		 later;		/* have been called in it, and are ready again */
	uint8_t			 turn_no;	/* from 1 on: an io that never ran is of no turn */
	struct io		*running;	/* whose cb is called; NULL once it moved */
	struct io		*graves;
	TAILQ_HEAD(listed_ios, io) lingering;	/* closed but held */
	struct listed_ios	 starving;	/* wait for memory */
	struct event		 starved;	/* looks at them */

	/* The mailbox; lock guards mail_* and ended. */
	pthread_mutex_t		 lock;
	struct adit_message	*mail_first, **mail_last;
	bool			 ended;
	struct event		 mail;
	int			 mail_fd;

	atomic_uint		 load;		/* see worker_load */
	struct timers		*timers;
	struct chunk_pool	*chunks;
	void			*scratch;
	struct slot		 slots[SLOTS];
};

struct worker_group {
	unsigned		 n;
	bool			 ready;		/* all n workers were made */
	struct adit_log		*log;
	struct job_pool		*jobs;
	struct memory		*memory;
	struct adit_worker	*workers;
};

uint64_t
adit_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the run queue ---------------------------------------------------------- */

static void
list_init(struct io_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void
list_add(struct io_list *l, struct io *io)
{
	io->next = NULL;
	*l->last = io;
	l->last = &io->next;
}

static struct io *
list_take(struct io_list *l)
{
	struct io *io = l->first;

	l->first = io->next;
	if (!l->first)
		l->last = &l->first;
	return io;
}

static bool
list_remove(struct io_list *l, struct io *io)
{
	struct io **at = &l->first;

	while (*at && *at != io)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = io->next;
	if (!io->next)
		l->last = at;
	return true;
}

/* Puts what is in from behind what is in to. */
static void
list_join(struct io_list *to, struct io_list *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	list_init(from);
}

/* A turn looks itself, at its end, whether there is another one to come. */
static void
worker_kick(struct adit_worker *w)
{
	if (w->turn_set || w->in_turn)
		return;
	w->turn_set = true;
	event_active(&w->turn, EV_TIMEOUT, 0);
}

static void
io_queue(struct io *io)
{
	struct adit_worker *w = io->worker;

	if (io->queued || io->closed || !io->cb || !(io->want & io->ready))
		return;
	io->queued = true;
	list_add(w->in_turn && io->ran == w->turn_no ? &w->later : &w->run, io);
	worker_kick(w);
}

static void
io_linger(struct io *io, bool lingering)
{
	struct adit_worker *w = io->worker;

	if (io->lingering == lingering)
		return;
	io->lingering = lingering;
	if (lingering)
		TAILQ_INSERT_TAIL(&w->lingering, io, entry);
	else
		TAILQ_REMOVE(&w->lingering, io, entry);
}

static void
io_feed(struct io *io)
{
	if (!io->starving)
		return;
	io->starving = false;
	TAILQ_REMOVE(&io->worker->starving, io, entry);
}

static void
io_bury(struct io *io)
{
	io_feed(io);
	io_linger(io, io->holds > 0);
	if (io->queued || io->holds)
		return;
	io->queued = true;		/* in the graveyard: for good */
	io->next = io->worker->graves;
	io->worker->graves = io;
	worker_kick(io->worker);
}

/*
 * Calls the owners of what is in the queue, and of what they put there: what came in at the bottom
 * goes through all layers in one turn. But each only once, and as long as the turn may last; the
 * rest is first in the next one.
 */
static void
worker_run(struct adit_worker *w)
{
	uint64_t until = adit_now() + TURN_LIMIT_NS;

	w->turn_no = w->turn_no < UINT8_MAX ? w->turn_no + 1 : 1;
	while (w->run.first) {
		struct io *io = list_take(&w->run);
		unsigned events = io->want & io->ready;

		io->queued = false;
		io->ran = w->turn_no;
		w->running = io;
		if (io->closed)
			io_bury(io);
		else if (events && io->cb)
			io->cb(io, events);
		if (w->running)		/* else it is another worker's by now */
			io_queue(io);
		if (adit_now() >= until)
			break;
	}
	w->running = NULL;
}

static void
worker_free_graves(struct adit_worker *w)
{
	while (w->graves) {
		struct io *io = w->graves;

		w->graves = io->next;
		io->free(io);
	}
}

static void
worker_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval zero;
	struct adit_worker *w = arg;

	(void)fd;
	(void)what;
	w->turn_set = false;
	w->in_turn = true;
	worker_run(w);
	worker_free_graves(w);
	list_join(&w->run, &w->later);
	w->in_turn = false;
	/* By a timer: an event that makes itself active starves descriptors in libevent 2.1. */
	w->turn_set = w->run.first;
	if (w->turn_set)
		event_add(&w->turn, &zero);
}

void
io_init(struct io *io, struct adit_worker *w, void (*cb)(struct io *, unsigned),
	void (*free_io)(struct io *))
{
	*io = (struct io){ .worker = w, .cb = cb, .free = free_io };
}

void
io_want(struct io *io, unsigned events)
{
	io->want = (uint8_t)events;
	io_queue(io);
}

void
io_ready(struct io *io, unsigned events)
{
	io->ready |= (uint8_t)events;
	io_queue(io);
}

void
io_close(struct io *io)
{
	if (io->closed)
		return;
	io->closed = true;
	io->want = 0;
	io_bury(io);
}

void
io_hold(struct io *io)
{
	assert(io->holds < UINT16_MAX);
	io->holds++;
}

void
io_release(struct io *io)
{
	assert(io->holds > 0);
	io->holds--;
	if (io->closed)
		io_bury(io);
}

void
io_move(struct io *io, struct adit_worker *to)
{
	struct adit_worker *w = io->worker;

	assert(!io->closed);
	io_feed(io);
	if (w->running == io)
		w->running = NULL;
	if (io->queued && (list_remove(&w->run, io) || list_remove(&w->later, io)))
		io->queued = false;
	io->ran = 0;
	io->worker = to;
}

/* ---- waiting for memory ------------------------------------------------------ */

static void
worker_look_starved(struct adit_worker *w)
{
	static const struct timeval pause = { .tv_usec = STARVED_LOOK_NS / 1000 };

	if (!event_pending(&w->starved, EV_TIMEOUT, NULL))
		event_add(&w->starved, &pause);
}

void
io_starve(struct io *io)
{
	if (io->starving || io->closed)
		return;
	io->starving = true;
	TAILQ_INSERT_TAIL(&io->worker->starving, io, entry);
	worker_look_starved(io->worker);
}

/*
 * As many as there are chunks for, in the order in which they came. A look each time rather than a
 * message from whoever gives memory back: none can be lost, and what gives it back stays cheap.
 */
static void
worker_feed(evutil_socket_t fd, short what, void *arg)
{
	struct adit_worker *w = arg;
	uint64_t used = memory_used(w->group->memory), budget = memory_budget(w->group->memory);
	uint64_t n = used < budget ? (budget - used) / CHUNK_SIZE : 0;
	struct io *io;

	(void)fd;
	(void)what;
	for (; n && (io = TAILQ_FIRST(&w->starving)); n--) {
		io_feed(io);
		io_ready(io, ADIT_WRITE);
	}
	if (!TAILQ_EMPTY(&w->starving))
		worker_look_starved(w);
}

/* ---- mailbox ---------------------------------------------------------------- */

void
adit_worker_post(struct adit_worker *to, struct adit_message *m)
{
	const uint64_t one = 1;
	bool first, ended;

	m->next = NULL;
	pthread_mutex_lock(&to->lock);
	ended = to->ended;
	first = !to->mail_first;
	if (!ended) {
		*to->mail_last = m;
		to->mail_last = &m->next;
	}
	pthread_mutex_unlock(&to->lock);
	if (ended) {
		if (m->discard)
			m->discard(m);
		return;
	}
	if (first && write(to->mail_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);	/* the counter is full: it will be read */
}

static struct adit_message *
worker_take_mail(struct adit_worker *w)
{
	struct adit_message *m;

	pthread_mutex_lock(&w->lock);
	m = w->mail_first;
	w->mail_first = NULL;
	w->mail_last = &w->mail_first;
	pthread_mutex_unlock(&w->lock);
	return m;
}

static void
worker_run_mail(struct adit_worker *w)
{
	struct adit_message *m, *next;

	for (m = worker_take_mail(w); m; m = next) {
		next = m->next;
		m->run(m, w);
	}
}

static void
worker_read_mail(evutil_socket_t fd, short what, void *arg)
{
	struct adit_worker *w = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	worker_run_mail(w);
}

/* ---- life ------------------------------------------------------------------- */

static int
worker_init(struct adit_worker *w, struct event_base *base, struct adit_err *e)
{
	struct event_config *conf;

	list_init(&w->run);
	list_init(&w->later);
	TAILQ_INIT(&w->lingering);
	TAILQ_INIT(&w->starving);
	w->mail_last = &w->mail_first;
	w->mail_fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	w->base = base;
	if (!base) {
		conf = event_config_new();
		if (!conf)
			return adit_err_set(e, -ENOMEM, "out of memory");
		event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK);
		w->base = event_base_new_with_config(conf);
		w->own_base = true;
		event_config_free(conf);
	}
	if (!w->base)
		return adit_err_set(e, -ENOMEM, "no event loop");
	w->timers = timers_new(w->base);
	w->chunks = chunk_pool_new(SPARE_CHUNKS, w->group->memory);
	w->scratch = malloc(SCRATCH_SIZE);
	w->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!w->timers || !w->chunks || !w->scratch || w->mail_fd < 0)
		return adit_err_set(e, -ENOMEM, "no memory or descriptor for a worker");
	event_assign(&w->turn, w->base, -1, 0, worker_turn, w);
	event_assign(&w->starved, w->base, -1, 0, worker_feed, w);
	event_assign(&w->mail, w->base, w->mail_fd, EV_READ | EV_PERSIST, worker_read_mail, w);
	if (event_add(&w->mail, NULL) < 0)
		return adit_err_set(e, -ENOMEM, "event_add failed");
	return 0;
}

static void *
worker_thread(void *arg)
{
	struct adit_worker *w = arg;

	event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

struct stop_message {
	struct adit_message	 message;
};

static void
worker_break(struct adit_message *m, struct adit_worker *w)
{
	struct stop_message *stop = adit_container_of(m, struct stop_message, message);

	event_base_loopbreak(w->base);
	free(stop);
}

/* ---- the end: all workers together, in the calling thread ---------------------- */

static bool
worker_is_settled(struct adit_worker *w)
{
	bool mail;

	pthread_mutex_lock(&w->lock);
	mail = w->mail_first;
	pthread_mutex_unlock(&w->lock);
	return !mail && !w->graves && !w->run.first;
}

/*
 * Whatever was closed or posted until now is finished; one may close and post for the other. Who is
 * ready for ever was not closed by its owner, and does not keep us.
 */
static void
group_settle(struct worker_group *g)
{
	bool settled = false;

	for (unsigned round = 0; !settled && round < SETTLE_ROUNDS; round++) {
		settled = true;
		for (unsigned i = 0; i < g->n; i++) {
			struct adit_worker *w = &g->workers[i];

			worker_run_mail(w);
			worker_turn(-1, 0, w);
		}
		for (unsigned i = 0; i < g->n; i++)
			settled &= worker_is_settled(&g->workers[i]);
	}
}

/* Returns whether there was anything in the slots. */
static bool
worker_empty_slots(struct adit_worker *w)
{
	bool any = false;

	for (int i = 0; i < SLOTS; i++) {
		struct slot slot = w->slots[i];

		w->slots[i].value = NULL;
		if (!slot.value || !slot.fini)
			continue;
		slot.fini(slot.value);
		any = true;
	}
	return any;
}

static void
group_empty_slots(struct worker_group *g)
{
	bool any = true;

	while (any) {
		any = false;
		for (unsigned i = 0; i < g->n; i++)
			any |= worker_empty_slots(&g->workers[i]);
		group_settle(g);
	}
}

static bool
group_lingers(const struct worker_group *g)
{
	for (unsigned i = 0; i < g->n; i++)
		if (!TAILQ_EMPTY(&g->workers[i].lingering))
			return true;
	return false;
}

/*
 * Runs the loops until nothing is held any more, or the time is over. None waits in its loop: each
 * may be what another waits for.
 */
static void
group_drain(struct worker_group *g, uint64_t until)
{
	const struct timespec look = { .tv_nsec = LINGER_LOOK_NS };
	const int flags = EVLOOP_ONCE | EVLOOP_NONBLOCK;	/* either alone may stay */

	while (group_lingers(g) && adit_now() < until) {
		for (unsigned i = 0; i < g->n; i++)
			if (event_base_loop(g->workers[i].base, flags) < 0)
				return;		/* it is running: we are in a callback */
		nanosleep(&look, NULL);
	}
}

/*
 * Cuts what lingers now and has a cut; with force, frees whatever lingers. Returns whether there
 * was anything. One that is cut may take others with it, and add some.
 */
static bool
worker_cut(struct adit_worker *w, bool force)
{
	struct io *io;
	unsigned n = 0;
	bool any = false;

	TAILQ_FOREACH(io, &w->lingering, entry)
		n++;
	for (; n && (io = TAILQ_FIRST(&w->lingering)); n--) {
		TAILQ_REMOVE(&w->lingering, io, entry);
		TAILQ_INSERT_TAIL(&w->lingering, io, entry);
		if (force) {
			io->holds = 0;
			io_bury(io);
		} else if (io->cut) {
			io->cut(io);
		}
		any |= force || io->cut;
	}
	return any;
}

static void
group_cut(struct worker_group *g)
{
	bool any = true;

	for (unsigned round = 0; any && round < CUT_ROUNDS; round++) {
		any = false;
		for (unsigned i = 0; i < g->n; i++)
			any |= worker_cut(&g->workers[i], false);
		group_settle(g);
	}
	for (unsigned i = 0; i < g->n; i++)
		worker_cut(&g->workers[i], true);
	group_settle(g);
}

/* From here on a post is a discard. */
static void
worker_close_mail(struct adit_worker *w)
{
	struct adit_message *m, *next;

	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_mutex_unlock(&w->lock);
	for (m = worker_take_mail(w); m; m = next) {
		next = m->next;
		if (m->discard)
			m->discard(m);
	}
}

static void
worker_fini(struct adit_worker *w)
{
	if (event_initialized(&w->mail)) {
		event_del(&w->turn);
		event_del(&w->mail);
		event_del(&w->starved);
	}
	if (w->mail_fd >= 0)
		close(w->mail_fd);
	timers_free(w->timers);
	chunk_pool_free(w->chunks);
	free(w->scratch);
	if (w->own_base && w->base)
		event_base_free(w->base);
	pthread_mutex_destroy(&w->lock);
}

/* See workers_stop. */
static void
group_end(struct worker_group *g)
{
	uint64_t until = adit_now() + LINGER_LIMIT_NS;

	group_settle(g);
	group_drain(g, until);
	group_settle(g);
	for (unsigned i = 0; i < g->n; i++)
		worker_close_mail(&g->workers[i]);
	group_settle(g);
	group_empty_slots(g);
	group_drain(g, until);
	group_cut(g);
	group_empty_slots(g);
}

static void
group_free(struct worker_group *g)
{
	job_pool_stop(g->jobs);
	if (g->ready)
		group_end(g);
	for (unsigned i = 0; i < g->n; i++)
		worker_fini(&g->workers[i]);
	job_pool_free(g->jobs);
	memory_free(g->memory);
	free(g->workers);
	free(g);
}

static void
group_join(struct worker_group *g, unsigned started)
{
	for (unsigned i = 0; i < started; i++) {
		struct stop_message *stop = calloc(1, sizeof(*stop));

		if (!stop)
			abort();
		stop->message.run = worker_break;
		adit_worker_post(&g->workers[i], &stop->message);
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(g->workers[i].thread, NULL);
}

static struct worker_group *
group_new(const struct worker_conf *conf, struct event_base *base, struct adit_err *e)
{
	struct worker_group *g = calloc(1, sizeof(*g));
	unsigned n = conf->workers ? conf->workers : 1;

	if (g) {
		g->jobs = job_pool_new();
		g->memory = memory_new(conf->memory, conf->log);
		g->workers = calloc(n, sizeof(*g->workers));
	}
	if (!g || !g->workers || !g->jobs || !g->memory) {
		if (g) {
			job_pool_free(g->jobs);
			memory_free(g->memory);
			free(g->workers);
		}
		free(g);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	g->n = n;
	g->log = conf->log;
	for (unsigned i = 0; i < n; i++) {
		g->workers[i].group = g;
		g->workers[i].index = i;
		g->workers[i].mail_fd = -1;
	}
	for (unsigned i = 0; i < n; i++) {
		if (worker_init(&g->workers[i], base, e) < 0) {
			g->n = i + 1;
			group_free(g);
			return NULL;
		}
	}
	g->ready = true;
	return g;
}

struct worker_group *
workers_start(const struct worker_conf *conf, struct adit_err *e)
{
	struct worker_group *g = group_new(conf, NULL, e);

	if (!g)
		return NULL;
	for (unsigned i = 0; i < g->n; i++) {
		struct adit_worker *w = &g->workers[i];
		int err = pthread_create(&w->thread, NULL, worker_thread, w);
		char name[16] = "adit/";

		if (err) {
			group_join(g, i);
			group_free(g);
			adit_err_set(e, -err, "cannot start a thread: %s", adit_strerror(-err));
			return NULL;
		}
		snprintf(name, sizeof(name), "adit/%u", i);
		pthread_setname_np(g->workers[i].thread, name);
	}
	return g;
}

void
workers_stop(struct worker_group *g)
{
	if (!g)
		return;
	group_join(g, g->n);
	group_free(g);
}

struct adit_worker *
worker_attach(struct event_base *base, struct adit_log *log, struct adit_err *e)
{
	const struct worker_conf conf = { .workers = 1, .log = log };
	struct worker_group *g = group_new(&conf, base, e);

	return g ? &g->workers[0] : NULL;
}

void
worker_detach(struct adit_worker *w)
{
	if (w)
		group_free(w->group);
}

struct call_message {
	struct adit_message	 message;
	void			(*fn)(struct adit_worker *w, void *arg);
	void			*arg;
	pthread_mutex_t		*lock;
	pthread_cond_t		*cond;
	unsigned		*left;
};

static void
call_run(struct adit_message *m, struct adit_worker *w)
{
	struct call_message *call = adit_container_of(m, struct call_message, message);

	call->fn(w, call->arg);
	pthread_mutex_lock(call->lock);
	if (--*call->left == 0)
		pthread_cond_signal(call->cond);
	pthread_mutex_unlock(call->lock);
}

void
workers_call(struct worker_group *g, void (*fn)(struct adit_worker *w, void *arg), void *arg)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	struct call_message *calls = calloc(g->n, sizeof(*calls));
	unsigned left = g->n;

	if (!calls)
		abort();
	for (unsigned i = 0; i < g->n; i++) {
		calls[i] = (struct call_message){
			.message.run = call_run,
			.fn = fn, .arg = arg, .lock = &lock, .cond = &cond, .left = &left,
		};
		adit_worker_post(&g->workers[i], &calls[i].message);
	}
	pthread_mutex_lock(&lock);
	while (left)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	free(calls);
}

/* ---- what others ask of it ---------------------------------------------------- */

unsigned
workers_count(const struct worker_group *g)
{
	return g->n;
}

struct adit_worker *
workers_at(struct worker_group *g, unsigned index)
{
	return index < g->n ? &g->workers[index] : NULL;
}

unsigned
adit_worker_index(const struct adit_worker *w)
{
	return w->index;
}

unsigned
adit_worker_count(const struct adit_worker *w)
{
	return w->group->n;
}

struct adit_worker *
adit_worker_at(const struct adit_worker *w, unsigned index)
{
	return workers_at(w->group, index);
}

atomic_uint *
worker_load(struct adit_worker *w)
{
	return &w->load;
}

struct adit_worker *
worker_least_loaded(struct adit_worker *w)
{
	struct adit_worker *least = w;
	unsigned load = atomic_load_explicit(&w->load, memory_order_relaxed);

	for (unsigned i = 0; i < w->group->n; i++) {
		struct adit_worker *other = &w->group->workers[i];
		unsigned n = atomic_load_explicit(&other->load, memory_order_relaxed);

		if (n < load) {
			load = n;
			least = other;
		}
	}
	return least;
}

struct adit_log *
adit_worker_log(const struct adit_worker *w)
{
	return w->group->log;
}

void *
adit_worker_scratch(struct adit_worker *w, size_t *len)
{
	*len = SCRATCH_SIZE;
	return w->scratch;
}

struct event_base *
worker_base(const struct adit_worker *w)
{
	return w->base;
}

struct job_pool *
worker_jobs(const struct adit_worker *w)
{
	return w->group->jobs;
}

struct memory *
worker_memory(const struct adit_worker *w)
{
	return w->group->memory;
}

struct timers *
worker_timers(const struct adit_worker *w)
{
	return w->timers;
}

struct chunk_pool *
worker_chunks(const struct adit_worker *w)
{
	return w->chunks;
}

void **
worker_slot(struct adit_worker *w, enum worker_slot slot, void (*fini)(void *))
{
	w->slots[slot].fini = fini;
	return &w->slots[slot].value;
}

/* ---- chance -------------------------------------------------------------------------- */

void
adit_random(void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len) {
		ssize_t n = getrandom(to, len < 256 ? len : 256, 0);

		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			to += n;
			len -= (size_t)n;
		}
	}
}

uint32_t
adit_random_below(uint32_t n)
{
	uint32_t limit, r;

	if (n < 2)
		return 0;
	limit = UINT32_MAX - UINT32_MAX % n;
	do
		adit_random(&r, sizeof(r));
	while (r >= limit);
	return r % n;
}
