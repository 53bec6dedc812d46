#include "core/conn/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/runtime/addr_hash.h"
#include "core/runtime/text_hash.h"
#include "core/runtime/worker.h"

/* An open conn that is counted; it has it as long as it is open. */
struct tallied {
	struct adit_conn	*conn;
	struct tally_service	*service;	/* in its worker's book, as is client */
	struct tally_client	*client;
	struct adit_addr	 addr;
	LIST_ENTRY(tallied)	 entry;
	char			*moving;	/* the service's name, on the way; owned */
};

const unsigned tally_service_bounds[TALLY_BUCKETS] = {
	5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 15000, 30000, 60000, 0,
};

const unsigned tally_node_bounds[TALLY_BUCKETS] = {
	10, 50, 100, 250, 500, 1000, 1500, 2000, 5000, 10000, 15000, 30000, 60000, 0,
};

const char *
tally_reason_name(enum tally_reason reason)
{
	static const char *const names[TALLY_REASONS] = {
		[TALLY_NO_RULE] = "no-rule", [TALLY_NO_CLIENT] = "no-client",
		[TALLY_CLIENT_DEAD] = "client-dead", [TALLY_TARGET] = "target",
		[TALLY_TIMEOUT] = "timeout", [TALLY_LIMIT] = "limit",
		[TALLY_UNAUTHORIZED] = "unauthorized", [TALLY_FORBIDDEN] = "forbidden",
		[TALLY_STOPPING] = "stopping", [TALLY_OTHER] = "other",
	};

	return names[reason];
}

static enum tally_reason
reason_of(int err)
{
	switch (err) {
	case ADIT_ENOROUTE:
		return TALLY_NO_RULE;
	case ADIT_ENOTUNNEL:
		return TALLY_NO_CLIENT;
	case ADIT_EPEERDEAD:
		return TALLY_CLIENT_DEAD;
	case ADIT_ETARGET:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return TALLY_TARGET;
	case -ETIMEDOUT:
		return TALLY_TIMEOUT;
	case ADIT_ELIMIT:
	case -ENOMEM:
		return TALLY_LIMIT;
	case ADIT_EUNAUTH:
		return TALLY_UNAUTHORIZED;
	case ADIT_EFORBIDDEN:
		return TALLY_FORBIDDEN;
	case ADIT_EDRAINING:
	case ADIT_ESTOPPED:
		return TALLY_STOPPING;
	default:
		return TALLY_OTHER;
	}
}

/* ---- books --------------------------------------------------------------------------- */

static struct tally_service *
book_find(const struct tally_book *b, const char *name)
{
	struct tally_service *s = b->services[text_hash(name, 0) % TALLY_SLOTS];

	while (s && strcmp(s->name, name) != 0)
		s = s->next;
	return s;
}

static struct tally_service *
book_service(struct tally_book *b, const char *name)
{
	struct tally_service *s = book_find(b, name), **at;
	size_t len = strlen(name) + 1;

	if (s)
		return s;
	if (*name && b->n_services >= TALLY_SERVICES && !b->sum)
		return book_service(b, "");
	s = calloc(1, sizeof(*s) + len);
	if (!s)
		return NULL;
	memcpy(s->name, name, len);
	at = &b->services[text_hash(name, 0) % TALLY_SLOTS];
	s->next = *at;
	*at = s;
	b->n_services += *name != '\0';
	return s;
}

/* max: addresses that may be; 0: any number. */
static struct tally_client *
service_client(struct tally_service *s, const struct adit_addr *addr, unsigned max)
{
	uint64_t h = addr_hash(addr, 1, 0);	/* few enough that none need be secret */
	struct tally_client **at = &s->clients[h % TALLY_CLIENT_SLOTS], *c;
	static const struct adit_addr others;

	for (c = *at; c; c = c->next)
		if (adit_addr_equal(&c->addr, addr))
			return c;
	if (addr->family && max && s->n_clients >= max)
		return service_client(s, &others, max);
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->addr = *addr;
	LIST_INIT(&c->conns);
	c->next = *at;
	*at = c;
	s->n_clients += addr->family != 0;
	return c;
}

/* Both names in one block, as they are compared. */
static struct tally_node *
book_node(struct tally_book *b, const char *chain, const char *node)
{
	size_t len = strlen(chain) + 1, len2 = strlen(node) + 1;
	struct tally_node **at = &b->nodes[text_hash(node, text_hash(chain, 0)) % TALLY_SLOTS], *n;

	for (n = *at; n; n = n->next)
		if (strcmp(n->chain, chain) == 0 && strcmp(n->node, node) == 0)
			return n;
	if (*chain && b->n_nodes >= TALLY_NODES && !b->sum)
		return book_node(b, "", "");
	n = calloc(1, sizeof(*n) + len + len2);
	if (!n)
		return NULL;
	memcpy(n->chain, chain, len);
	n->node = memcpy(n->chain + len, node, len2);
	n->next = *at;
	*at = n;
	b->n_nodes += *chain != '\0';
	return n;
}

static void
service_free(struct tally_service *s)
{
	for (size_t i = 0; i < TALLY_CLIENT_SLOTS; i++) {
		struct tally_client *c;

		while ((c = s->clients[i])) {
			s->clients[i] = c->next;
			free(c);
		}
	}
	free(s->statuses);
	free(s);
}

static void
book_free(void *book)
{
	struct tally_book *b = book;

	for (size_t i = 0; b && i < TALLY_SLOTS; i++) {
		struct tally_service *s;
		struct tally_node *n;

		while ((s = b->services[i])) {
			b->services[i] = s->next;
			service_free(s);
		}
		while ((n = b->nodes[i])) {
			b->nodes[i] = n->next;
			free(n);
		}
	}
	free(b);
}

/* Conns that are still open when their worker ends are not counted any more. */
static void
book_end(void *book)
{
	struct tally_book *b = book;

	for (size_t i = 0; i < TALLY_SLOTS; i++)
		for (struct tally_service *s = b->services[i]; s; s = s->next)
			for (size_t k = 0; k < TALLY_CLIENT_SLOTS; k++)
				for (struct tally_client *c = s->clients[k]; c; c = c->next)
					while (!LIST_EMPTY(&c->conns))
						tallied_end(LIST_FIRST(&c->conns), 0);
	book_free(b);
}

static struct tally_book *
book_of(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_TALLY, book_end);

	if (!*slot)
		*slot = calloc(1, sizeof(struct tally_book));
	return *slot;
}

void
tally_start(struct adit_worker *w)
{
	struct tally_book *b = book_of(w);

	if (b)
		b->open = true;
}

/* NULL: nobody asks, or out of memory. */
static struct tally_book *
open_book(struct adit_worker *w)
{
	struct tally_book *b = *worker_slot(w, SLOT_TALLY, book_end);

	return b && b->open ? b : NULL;
}

static struct tally_service *
service_on(struct adit_worker *w, const char *name)
{
	struct tally_book *b = open_book(w);

	return b ? book_service(b, name) : NULL;
}

static void
times_add(struct tally_times *t, const unsigned *bounds, uint64_t ns)
{
	size_t i = 0;

	while (bounds[i] && ns > ADIT_MS(bounds[i]))
		i++;
	t->n[i]++;
	t->total += ns;
}

/* ---- conns --------------------------------------------------------------------------- */

/* Finds its place in w's book. Whether there was memory for that. */
static bool
tallied_place(struct tallied *t, struct adit_worker *w, const char *name)
{
	t->service = service_on(w, name);
	t->client = t->service ? service_client(t->service, &t->addr, TALLY_CLIENTS) :
				 NULL;
	if (!t->client)
		return false;
	t->client->open++;
	LIST_INSERT_HEAD(&t->client->conns, t, entry);
	return true;
}

static void
tallied_free(struct tallied *t)
{
	t->conn->core->tallied = NULL;
	free(t->moving);
	free(t);
}

void
tally_conn(struct adit_conn *c, const char *name)
{
	struct tallied *t;

	if (c->core->tallied || !open_book(adit_conn_worker(c)))
		return;
	t = calloc(1, sizeof(*t));
	if (!t)
		return;
	t->conn = c;
	t->addr = *adit_conn_remote(c);
	t->addr.port = 0;
	c->core->tallied = t;
	if (tallied_place(t, adit_conn_worker(c), name))
		t->client->begun++;
	else
		tallied_free(t);
}

/* Whether the conn's owner gave it up for a reason that is somebody's failure. */
static bool
is_failure(int why)
{
	return why && why != -ESHUTDOWN && why != ADIT_ESTOPPED && why != ADIT_EDRAINING;
}

void
tallied_end(struct tallied *t, int why)
{
	const struct adit_traffic *traffic = adit_conn_traffic(t->conn);

	if (t->moving) {
		tallied_free(t);
		return;
	}
	t->client->open--;
	t->client->failed += is_failure(why);
	t->client->traffic.in += traffic->in;
	t->client->traffic.out += traffic->out;
	times_add(&t->service->times, tally_service_bounds, adit_conn_age(t->conn));
	LIST_REMOVE(t, entry);
	tallied_free(t);
}

void
tallied_leave(struct tallied *t)
{
	t->client->open--;
	LIST_REMOVE(t, entry);
	t->moving = strdup(t->service->name);
	if (!t->moving)
		tallied_free(t);
}

void
tallied_arrive(struct tallied *t, struct adit_worker *w)
{
	if (!tallied_place(t, w, t->moving)) {
		tallied_free(t);
		return;
	}
	free(t->moving);
	t->moving = NULL;
}

/* ---- what is no conn ----------------------------------------------------------------- */

void
tally_status(struct adit_worker *w, const char *name, int status)
{
	struct tally_service *s;

	if (status < TALLY_STATUS_MIN || status >= TALLY_STATUS_MIN + TALLY_STATUSES)
		return;
	s = service_on(w, name);
	if (s && !s->statuses)
		s->statuses = calloc(TALLY_STATUSES, sizeof(*s->statuses));
	if (s && s->statuses)
		s->statuses[status - TALLY_STATUS_MIN]++;
}

void
tally_refusal(struct adit_worker *w, const char *name, int err)
{
	struct tally_service *s = service_on(w, name);

	if (s)
		s->refused[reason_of(err)]++;
}

void
tally_sessions(struct adit_worker *w, const char *name, int change)
{
	struct tally_book *b = book_of(w);
	struct tally_service *s = b ? book_service(b, name) : NULL;

	if (s)
		s->sessions += change;
}

void
tally_node(struct adit_worker *w, const char *chain, const char *node, uint64_t ns, int err)
{
	struct tally_book *b = open_book(w);
	struct tally_node *n = b ? book_node(b, chain, node) : NULL;

	if (!n)
		return;
	if (err)
		n->failed++;
	else
		times_add(&n->times, tally_node_bounds, ns);
}

/* ---- adding up ----------------------------------------------------------------------- */

static void
times_sum(struct tally_times *to, const struct tally_times *from)
{
	for (size_t i = 0; i < TALLY_BUCKETS; i++)
		to->n[i] += from->n[i];
	to->total += from->total;
}

static void
client_sum(struct tally_client *to, const struct tally_client *from)
{
	const struct tallied *t;

	to->begun += from->begun;
	to->open += from->open;
	to->failed += from->failed;
	to->traffic.in += from->traffic.in;
	to->traffic.out += from->traffic.out;
	LIST_FOREACH(t, &from->conns, entry) {
		to->traffic.in += adit_conn_traffic(t->conn)->in;
		to->traffic.out += adit_conn_traffic(t->conn)->out;
	}
}

static int
service_sum(struct tally_service *to, const struct tally_service *from)
{
	times_sum(&to->times, &from->times);
	to->sessions += from->sessions;
	for (size_t i = 0; i < TALLY_REASONS; i++)
		to->refused[i] += from->refused[i];
	if (from->statuses && !to->statuses)
		to->statuses = calloc(TALLY_STATUSES, sizeof(*to->statuses));
	if (from->statuses && !to->statuses)
		return -ENOMEM;
	for (size_t i = 0; from->statuses && i < TALLY_STATUSES; i++)
		to->statuses[i] += from->statuses[i];
	for (size_t i = 0; i < TALLY_CLIENT_SLOTS; i++)
		for (const struct tally_client *c = from->clients[i]; c; c = c->next) {
			struct tally_client *sum = service_client(to, &c->addr, 0);

			if (!sum)
				return -ENOMEM;
			client_sum(sum, c);
		}
	return 0;
}

/* 0 or -ENOMEM. */
static int
book_sum(struct tally_book *to, const struct tally_book *from)
{
	for (size_t i = 0; i < TALLY_SLOTS; i++) {
		for (const struct tally_service *s = from->services[i]; s; s = s->next) {
			struct tally_service *sum = book_service(to, s->name);

			if (!sum || service_sum(sum, s) < 0)
				return -ENOMEM;
		}
		for (const struct tally_node *n = from->nodes[i]; n; n = n->next) {
			struct tally_node *sum = book_node(to, n->chain, n->node);

			if (!sum)
				return -ENOMEM;
			times_sum(&sum->times, &n->times);
			sum->failed += n->failed;
		}
	}
	return 0;
}

/* Goes from worker to worker, and home. */
struct tally_asking {
	struct adit_message	 message;
	struct adit_worker	*home;
	unsigned		 next;		/* worker to ask */
	struct tally_book	*sum;		/* owned; NULL: out of memory */
	void			(*done)(void *arg, struct tally_book *book);
	void			*arg;		/* with done, home's */
};

static void
asking_free(struct tally_asking *a)
{
	book_free(a->sum);
	free(a);
}

static void
asking_discard(struct adit_message *m)
{
	asking_free(adit_container_of(m, struct tally_asking, message));
}

static void
asking_home(struct adit_message *m, struct adit_worker *w)
{
	struct tally_asking *a = adit_container_of(m, struct tally_asking, message);

	(void)w;
	if (a->done) {
		a->done(a->arg, a->sum);
		a->sum = NULL;
	}
	asking_free(a);
}

static void
asking_run(struct adit_message *m, struct adit_worker *w)
{
	struct tally_asking *a = adit_container_of(m, struct tally_asking, message);
	struct tally_book *b = book_of(w);

	if (!b || book_sum(a->sum, b) < 0) {
		book_free(a->sum);
		a->sum = NULL;
	}
	if (!a->sum || a->next == adit_worker_count(w)) {
		m->run = asking_home;
		adit_worker_post(a->home, m);
		return;
	}
	adit_worker_post(adit_worker_at(w, a->next++), m);
}

struct tally_asking *
tally_gather(struct adit_worker *w, void (*done)(void *arg, struct tally_book *book), void *arg)
{
	struct tally_asking *a = calloc(1, sizeof(*a));

	if (a)
		a->sum = calloc(1, sizeof(*a->sum));
	if (!a || !a->sum) {
		free(a);
		return NULL;
	}
	a->message = (struct adit_message){ .run = asking_run, .discard = asking_discard };
	a->sum->sum = true;
	a->home = w;
	a->done = done;
	a->arg = arg;
	adit_worker_post(adit_worker_at(w, a->next++), &a->message);
	return a;
}

void
tally_forget(struct tally_asking *a)
{
	if (a)
		a->done = NULL;
}

void
tally_free(struct tally_book *b)
{
	book_free(b);
}

struct tally_client
tally_total(const struct tally_service *s)
{
	struct tally_client total = { .next = NULL };

	for (size_t i = 0; i < TALLY_CLIENT_SLOTS; i++)
		for (const struct tally_client *c = s->clients[i]; c; c = c->next)
			client_sum(&total, c);
	return total;
}

const struct tally_service *
tally_find(const struct tally_book *b, const char *name)
{
	return book_find(b, name);
}
