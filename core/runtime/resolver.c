#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/runtime/resolver.h"

/*
 * The answer is written by a helper thread, which cannot be interrupted: when the limit runs out or the query is cancelled, the
 * query is given up and freed when the helper is through.
 */
struct resolver_query {
	struct adit_job		 job;
	struct adit_worker	*worker;
	struct adit_timer	*timer;		/* the limit; for a literal, the next turn */
	void			(*done)(void *arg, int err, const struct adit_addr *addrs, size_t n);
	void			*arg;
	bool			 asked;		/* the helper has it */
	int			 err;
	size_t			 n;
	struct adit_addr	 addrs[RESOLVER_MAX];
	char			 host[];
};

static void
query_free(struct resolver_query *q)
{
	adit_timer_free(q->timer);
	free(q);
}

/* Tells, and leaves the query to the helper if that is still busy with it. */
static void
query_tell(struct resolver_query *q, int err)
{
	void (*done)(void *, int, const struct adit_addr *, size_t) = q->done;

	q->done = NULL;
	adit_timer_free(q->timer);
	q->timer = NULL;
	if (done)
		done(q->arg, err, q->addrs, err ? 0 : q->n);
	if (!q->asked)
		query_free(q);
}

static void
query_timer(void *arg)
{
	struct resolver_query *q = arg;

	if (q->asked) {
		/* addrs is the helper's now: nothing of it may be looked at. */
		query_tell(q, -ETIMEDOUT);
		return;
	}
	query_tell(q, q->err);
}

/* Moves each second address of the other family between those of the first. */
static size_t
interleave(const struct addrinfo *list, struct adit_addr *out)
{
	const struct addrinfo *next[2] = { list, list };
	const int families[2] = { list->ai_family, list->ai_family == AF_INET ? AF_INET6 : AF_INET };
	size_t n = 0;

	for (int turn = 0; n < RESOLVER_MAX && (next[0] || next[1]); turn = !turn) {
		while (next[turn] && next[turn]->ai_family != families[turn])
			next[turn] = next[turn]->ai_next;
		if (!next[turn])
			continue;
		out[n++] = adit_addr_from(next[turn]->ai_addr, next[turn]->ai_addrlen);
		next[turn] = next[turn]->ai_next;
	}
	return n;
}

static int
query_error(int code)
{
	switch (code) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	default:
		return -EADDRNOTAVAIL;
	}
}

static void
query_work(struct adit_job *j)
{
	struct resolver_query *q = adit_container_of(j, struct resolver_query, job);
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	const struct addrinfo any = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int err = getaddrinfo(q->host, NULL, &hints, &list);

	/* On a machine that has no address but loopback's, AI_ADDRCONFIG would hide even localhost. */
	if (err == EAI_NONAME || err == EAI_ADDRFAMILY || err == EAI_NODATA)
		err = getaddrinfo(q->host, NULL, &any, &list);
	if (err) {
		q->err = query_error(err);
		return;
	}
	q->n = interleave(list, q->addrs);
	freeaddrinfo(list);
	q->err = q->n ? 0 : -EADDRNOTAVAIL;
}

static void
query_worked(struct adit_job *j, struct adit_worker *w, bool cancelled)
{
	struct resolver_query *q = adit_container_of(j, struct resolver_query, job);

	(void)w;
	q->asked = false;
	query_tell(q, cancelled ? ADIT_ESTOPPED : q->err);
}

/* What nobody has to be asked for: literals, and names that must be this machine (RFC 6761, 6.3). */
static bool
query_knows(struct resolver_query *q)
{
	static const struct adit_addr loopback[] = {
		{ .family = AF_INET6, .ip = { [15] = 1 } },
		{ .family = AF_INET, .ip = { 127, 0, 0, 1 } },
	};

	q->n = 1;
	if (adit_addr_parse(q->host, 0, &q->addrs[0]) == 0)
		return true;
	if (*q->host && strcasecmp(q->host, "localhost") != 0)
		return false;
	memcpy(q->addrs, loopback, sizeof(loopback));
	q->n = 2;
	return true;
}

struct resolver_query *
resolver_ask(struct adit_worker *w, const char *host,
	     void (*done)(void *arg, int err, const struct adit_addr *addrs, size_t n), void *arg,
	     struct adit_err *e)
{
	struct resolver_query *q = calloc(1, sizeof(*q) + strlen(host) + 1);
	int err = 0;

	if (q)
		q->timer = adit_timer_new(w, query_timer, q);
	if (!q || !q->timer) {
		free(q);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	q->worker = w;
	q->done = done;
	q->arg = arg;
	strcpy(q->host, host);
	if (query_knows(q)) {
		adit_timer_set(q->timer, 0);
		return q;
	}
	q->job.work = query_work;
	q->job.done = query_worked;
	err = adit_job_run(w, &q->job);
	if (err < 0) {
		adit_err_set(e, err, "resolve %s: %s", host, adit_strerror(err));
		query_free(q);
		return NULL;
	}
	q->asked = true;
	adit_timer_set(q->timer, ADIT_MS(RESOLVER_MS));
	return q;
}

void
resolver_cancel(struct resolver_query *q)
{
	if (!q)
		return;
	q->done = NULL;
	adit_timer_stop(q->timer);
	if (!q->asked)
		query_free(q);
}
