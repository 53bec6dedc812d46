#include "core/service/desk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/conn/tally.h"

struct desk {
	struct event		 wake;
	int			 fd;		/* an eventfd: readable while there are some */
	void			(*serve)(void *arg, struct desk_ask *a);
	void			*arg;
	pthread_mutex_t		 lock;		/* of all below */
	struct desk_ask		*first, **last;
	unsigned		 n;
	bool			 closed;
	struct desk_counts	 counts;	/* not the lock's */
};

void
desk_ask_free(struct desk_ask *a)
{
	if (!a)
		return;
	if (a->body)
		explicit_bzero(a->body, a->len);
	if (a->answer)
		explicit_bzero(a->answer, a->answer_len);
	free(a->method);
	free(a->path);
	free(a->body);
	free(a->format);
	free(a->file);
	free(a->answer);
	tally_free(a->book);
	free(a);
}

static struct desk_ask *
ask_of(struct adit_message *m)
{
	return adit_container_of(m, struct desk_ask, message);
}

static void
ask_home(struct adit_message *m, struct adit_worker *w)
{
	struct desk_ask *a = ask_of(m);

	(void)w;
	a->done(a);
}

static void
ask_discard(struct adit_message *m)
{
	desk_ask_free(ask_of(m));
}

static void
ask_answer(struct desk_ask *a)
{
	a->message = (struct adit_message){ .run = ask_home, .discard = ask_discard };
	adit_worker_post(a->home, &a->message);
}

/* All that wait, in their order. */
static struct desk_ask *
desk_take(struct desk *d, bool close)
{
	struct desk_ask *a;

	pthread_mutex_lock(&d->lock);
	a = d->first;
	d->first = NULL;
	d->last = &d->first;
	d->n = 0;
	d->closed |= close;
	pthread_mutex_unlock(&d->lock);
	return a;
}

static void
desk_serve(evutil_socket_t fd, short what, void *arg)
{
	struct desk *d = arg;
	struct desk_ask *a, *next;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	for (a = desk_take(d, false); a; a = next) {
		next = a->next;
		d->serve(d->arg, a);
		ask_answer(a);
	}
}

struct desk *
desk_new(struct event_base *base, void (*serve)(void *arg, struct desk_ask *a), void *arg)
{
	struct desk *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->serve = serve;
	d->arg = arg;
	d->last = &d->first;
	d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->fd < 0 || event_assign(&d->wake, base, d->fd, EV_READ | EV_PERSIST, desk_serve, d) ||
	    event_add(&d->wake, NULL) < 0) {
		if (d->fd >= 0)
			close(d->fd);
		free(d);
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

void
desk_close(struct desk *d)
{
	struct desk_ask *a, *next;

	if (!d)
		return;
	event_del(&d->wake);
	for (a = desk_take(d, true); a; a = next) {
		next = a->next;
		a->err = ADIT_ESTOPPED;
		ask_answer(a);
	}
}

void
desk_free(struct desk *d)
{
	struct desk_record *r, *next;

	if (!d)
		return;
	for (r = atomic_load(&d->counts.records); r; r = next) {
		next = r->next;
		free(r);
	}
	pthread_mutex_destroy(&d->lock);
	close(d->fd);
	free(d);
}

void
desk_put(struct desk *d, struct desk_ask *a)
{
	const uint64_t one = 1;
	int err = d ? 0 : ADIT_EUNSUPPORTED;

	a->next = NULL;
	if (d) {
		pthread_mutex_lock(&d->lock);
		if (d->closed || d->n == DESK_MAX) {
			err = d->closed ? ADIT_ESTOPPED : ADIT_ELIMIT;
		} else {
			*d->last = a;
			d->last = &a->next;
			d->n++;
			if (write(d->fd, &one, sizeof(one)) < 0)
				err = 0;	/* the counter is full: it will be read */
		}
		pthread_mutex_unlock(&d->lock);
	}
	if (!err)
		return;
	a->err = err;
	ask_answer(a);
}

struct desk_counts *
desk_counts(struct desk *d)
{
	return d ? &d->counts : NULL;
}

void
desk_want_counts(struct desk *d)
{
	if (d)
		atomic_store(&d->counts.wanted, true);
}

struct desk_record *
desk_record(struct desk *d, const char *name)
{
	struct desk_record *first = d ? atomic_load(&d->counts.records) : NULL, *r;
	unsigned n = 0;

	for (r = first; r; r = r->next, n++)
		if (strcmp(r->name, name) == 0)
			return r;
	r = d && n < DESK_RECORDS ? calloc(1, sizeof(*r) + strlen(name) + 1) : NULL;
	if (!r)
		return NULL;
	memcpy(r->name, name, strlen(name) + 1);
	r->next = first;
	atomic_store(&d->counts.records, r);
	return r;
}

void
desk_count_service(struct desk *d, int change)
{
	if (d)
		atomic_fetch_add_explicit(&d->counts.services, (unsigned)change,
					  memory_order_relaxed);
}
