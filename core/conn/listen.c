#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <adit/log.h>

#include "core/conn/listen.h"
#include "core/conn/tcp.h"
#include "core/conn/unix_listen.h"
#include "core/runtime/worker.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE_NS ADIT_MS(100)
#define WARN_NS ADIT_SECONDS(10)
#define BACKLOG 4096
#define SOCKET_KIND (LISTEN_UDP | LISTEN_UNIX)

struct listen_set {
	LIST_ENTRY(listen_set)	 entry;
	char			*addr;		/* as asked for */
	char			*owner;		/* of one whose port the kernel chose; or NULL */
	unsigned		 flags;
	unsigned		 refs;
	struct adit_addr	 local;
	struct unix_file	 file;		/* of LISTEN_UNIX */
	bool			 shared;	/* was found again; the main thread's */
	void			*slot;		/* of those who use it: see listen_slot */
	void			(*slot_fini)(void *shared);
	unsigned		 n;
	int			 fds[];
};

struct listen_book {
	pthread_mutex_t			 lock;		/* of the sets' list and references */
	unsigned			 workers;
	LIST_HEAD(, listen_set)		 sets;
};

struct listen_book *
listen_book_new(unsigned workers)
{
	struct listen_book *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->workers = workers;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static void
set_free(struct listen_set *s)
{
	if ((s->flags & LISTEN_UNIX) && s->fds[0] >= 0)
		unix_remove(s->addr, &s->file);
	for (unsigned i = 0; i < s->n; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	if (s->slot)
		s->slot_fini(s->slot);
	free(s->addr);
	free(s->owner);
	free(s);
}

void
listen_book_free(struct listen_book *b)
{
	if (!b)
		return;
	while (!LIST_EMPTY(&b->sets)) {
		struct listen_set *s = LIST_FIRST(&b->sets);

		LIST_REMOVE(s, entry);
		set_free(s);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static int
socket_new(int family, unsigned flags)
{
	static const int on = 1, off = 0;
	bool udp = flags & LISTEN_UDP;
	int type = (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, fd = -1;

	if (!udp && (flags & LISTEN_MPTCP))
		fd = socket(family, type, IPPROTO_MPTCP);
	if (fd < 0)		/* or a kernel without it: peers see no difference */
		fd = socket(family, type, 0);
	if (fd < 0)
		return -errno;
	if (!udp) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		tcp_tune(fd, family);
	}
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	return fd;
}

/*
 * SO_REUSEPORT at the time of bind() would let two daemons share a port without a word, and the
 * kernel choose one for us that others share already: the first socket is bound without it, and
 * opened to the others of its set after.
 */
static int
socket_bind(int fd, const struct sockaddr *sa, socklen_t len, bool exclusive)
{
	static const int on = 1;

	if (!exclusive)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, sa, len) < 0)
		return -errno;
	if (exclusive)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	return 0;
}

static int
socket_listening(const struct sockaddr *sa, socklen_t len, unsigned flags, bool exclusive)
{
	int fd = socket_new(sa->sa_family, flags), err;

	if (fd < 0)
		return fd;
	err = socket_bind(fd, sa, len, exclusive);
	if (!err && !(flags & LISTEN_UDP) && listen(fd, BACKLOG) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int
set_open(struct listen_set *s, const struct adit_addr *at)
{
	struct sockaddr_storage ss;
	socklen_t len = adit_addr_to(at, &ss);

	for (unsigned i = 0; i < s->n; i++) {
		bool exclusive = i == 0 && !(s->flags & LISTEN_SHARED);

		s->fds[i] = socket_listening((struct sockaddr *)&ss, len, s->flags, exclusive);
		if (s->fds[i] < 0)
			return s->fds[i];
		/* The port that the kernel chose for the first is the others' too. */
		if (i == 0)
			getsockname(s->fds[0], (struct sockaddr *)&ss, &len);
	}
	s->local = adit_addr_from((struct sockaddr *)&ss, len);
	return 0;
}

int
listen_resolve(const char *host, uint16_t port, unsigned flags, struct adit_addr *out,
	       struct adit_err *e)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE,
		.ai_socktype = flags & LISTEN_UDP ? SOCK_DGRAM : SOCK_STREAM,
	};
	struct addrinfo *list = NULL;
	int err;

	*out = (struct adit_addr){ .family = AF_INET6, .port = port };
	if (!*host)
		return 0;
	err = getaddrinfo(host, NULL, &hints, &list);
	if (err)
		return adit_err_set(e, -EADDRNOTAVAIL, "%s", gai_strerror(err));
	*out = adit_addr_from(list->ai_addr, list->ai_addrlen);
	out->port = port;
	freeaddrinfo(list);
	return 0;
}

static int
set_bind(struct listen_set *s, const struct adit_addr *at, bool any, struct adit_err *e)
{
	const struct adit_addr any4 = { .family = AF_INET, .port = at->port };
	int err = set_open(s, at);

	if (err == -EAFNOSUPPORT && any)	/* a kernel without IPv6 */
		err = set_open(s, &any4);
	return err ? adit_err_set(e, err, "%s", adit_strerror(err)) : 0;
}

/* What a set is looked for by. */
struct set_wanted {
	const char		*owner;	/* who asks, or NULL */
	const char		*addr;	/* as written */
	const struct adit_addr	*at;	/* where that is; NULL: not known */
	unsigned		 flags;
	bool			 chosen;	/* the port is to be of the kernel's choice */
};

/* A port of the kernel's choice is its owner's alone, whether he asks for any or for that one. */
static bool
set_is(const struct listen_set *s, const struct set_wanted *w)
{
	bool mine = s->owner && w->owner && strcmp(s->owner, w->owner) == 0;

	if ((s->flags ^ w->flags) & SOCKET_KIND || (s->owner && !mine))
		return false;
	if (w->at)
		return adit_addr_equal(&s->local, w->at);
	return w->chosen == mine && strcmp(s->addr, w->addr) == 0;
}

/* Counted. */
static struct listen_set *
set_find(struct listen_book *b, const struct set_wanted *wanted)
{
	struct listen_set *s;

	pthread_mutex_lock(&b->lock);
	LIST_FOREACH(s, &b->sets, entry)
		if (set_is(s, wanted))
			break;
	if (s) {
		s->refs++;
		s->shared = true;
	}
	pthread_mutex_unlock(&b->lock);
	return s;
}

static struct listen_set *
set_enlist(struct listen_book *b, struct listen_set *s)
{
	pthread_mutex_lock(&b->lock);
	LIST_INSERT_HEAD(&b->sets, s, entry);
	pthread_mutex_unlock(&b->lock);
	return s;
}

static struct listen_set *
set_new(const char *owner, const char *addr, unsigned flags, unsigned workers)
{
	struct listen_set *s = calloc(1, sizeof(*s) + workers * sizeof(*s->fds));

	if (s) {
		s->addr = strdup(addr);
		s->owner = owner ? strdup(owner) : NULL;
	}
	if (!s || !s->addr || !owner != !s->owner) {
		if (s)
			free(s->addr);
		free(s);
		return NULL;
	}
	s->flags = flags;
	s->refs = 1;
	s->n = workers;
	for (unsigned i = 0; i < s->n; i++)
		s->fds[i] = -1;
	return s;
}

/* Of host (any: of all). e has the reason alone. */
static struct listen_set *
listen_make(struct listen_book *b, const struct set_wanted *w, bool any, struct adit_err *e)
{
	struct listen_set *s = set_new(w->chosen ? w->owner : NULL, w->addr, w->flags, b->workers);

	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (set_bind(s, w->at, any, e) == 0)
		return set_enlist(b, s);
	set_free(s);
	return NULL;
}

struct listen_set *
listen_get_for(struct listen_book *b, const char *owner, const char *addr, unsigned flags,
	       struct adit_err *e)
{
	struct set_wanted wanted = { .owner = owner, .addr = addr, .flags = flags };
	struct listen_set *s = NULL;
	struct adit_addr at;
	char host[256];
	uint16_t port;

	if (adit_hostport_split(addr, host, sizeof(host), &port) < 0) {
		adit_err_set(e, -EINVAL, "listen %s: not host:port", addr);
		return NULL;
	}
	wanted.chosen = !port;
	if (port || owner)	/* else each asks for a port of its own */
		s = set_find(b, &wanted);
	if (!s && listen_resolve(host, port, flags, &at, e) == 0) {
		wanted.at = &at;
		s = port ? set_find(b, &wanted) : NULL;
		if (!s)
			s = listen_make(b, &wanted, !*host, e);
	}
	if (!s)
		adit_err_context(e, "listen %s %s: bind", flags & LISTEN_UDP ? "udp" : "tcp", addr);
	return s;
}

struct listen_set *
listen_get(struct listen_book *b, const char *addr, unsigned flags, struct adit_err *e)
{
	return listen_get_for(b, NULL, addr, flags, e);
}

void
listen_put(struct listen_book *b, struct listen_set *s)
{
	bool last;

	if (!s)
		return;
	pthread_mutex_lock(&b->lock);
	last = --s->refs == 0;
	if (last)
		LIST_REMOVE(s, entry);
	pthread_mutex_unlock(&b->lock);
	if (last)
		set_free(s);
}

/* One socket: all workers wait for it, and the first that comes accepts. */
static int
set_open_unix(struct listen_set *s, unsigned mode, struct adit_err *e)
{
	s->fds[0] = unix_listen(s->addr, mode, BACKLOG, &s->file, e);
	if (s->fds[0] < 0)
		return s->fds[0];
	s->local = (struct adit_addr){ .family = AF_UNIX };
	for (unsigned i = 1; i < s->n; i++) {
		s->fds[i] = fcntl(s->fds[0], F_DUPFD_CLOEXEC, 0);
		if (s->fds[i] < 0)
			return adit_err_set(e, -errno, "%s", adit_strerror(-errno));
	}
	return 0;
}

struct listen_set *
listen_get_unix(struct listen_book *b, const char *path, unsigned mode, struct adit_err *e)
{
	const struct set_wanted wanted = { .addr = path, .flags = LISTEN_UNIX };
	struct listen_set *s = set_find(b, &wanted);

	if (s) {
		if (unix_check(path, &s->file, e) < 0) {
			adit_err_context(e, "listen unix");
			listen_put(b, s);
			return NULL;
		}
		return s;
	}
	s = set_new(NULL, path, LISTEN_UNIX, b->workers);
	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (set_open_unix(s, mode, e) < 0) {
		adit_err_context(e, "listen unix");
		set_free(s);
		return NULL;
	}
	return set_enlist(b, s);
}

void **
listen_slot(struct listen_set *s, void (*fini)(void *shared))
{
	s->slot_fini = fini;
	return &s->slot;
}

int
listen_set_mode(struct listen_set *s, unsigned mode, struct adit_err *e)
{
	return unix_set_mode(s->addr, &s->file, mode, e);
}

bool
listen_is_shared(const struct listen_set *s)
{
	return s->shared;
}

const struct adit_addr *
listen_addr(const struct listen_set *s)
{
	return &s->local;
}

unsigned
listen_count(const struct listen_set *s)
{
	return s->n;
}

int
listen_fd(const struct listen_set *s, unsigned worker)
{
	return worker < s->n ? s->fds[worker] : -1;
}

/* ---- accepting ------------------------------------------------------------------- */

struct acceptor {
	struct adit_worker	*worker;
	struct event		 event;
	struct adit_timer	*pause;
	uint64_t		 warned;	/* when it last said that it pauses */
	void			(*accepted)(void *arg, int fd);
	void			*arg;
};

static void
acceptor_resume(void *arg)
{
	struct acceptor *a = arg;

	event_add(&a->event, NULL);
}

static void
acceptor_pause(struct acceptor *a, int err)
{
	uint64_t now = adit_now();

	if (!a->warned || now - a->warned >= WARN_NS) {
		a->warned = now;
		adit_log(adit_worker_log(a->worker), ADIT_LOG_WARN, NULL,
			 "accept: %s, trying again each 100ms", adit_strerror(err));
	}
	event_del(&a->event);
	adit_timer_set(a->pause, PAUSE_NS);
}

static void
acceptor_event(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int new = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (new >= 0) {
			a->accepted(a->arg, new);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			acceptor_pause(a, -errno);
			return;
		}
		/* What is left concerns the one connection that was not accepted. */
	}
}

struct acceptor *
acceptor_new(struct adit_worker *w, struct listen_set *s, void (*accepted)(void *arg, int fd),
	     void *arg, struct adit_err *e)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (!a) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	*a = (struct acceptor){ .worker = w, .accepted = accepted, .arg = arg };
	a->pause = adit_timer_new(w, acceptor_resume, a);
	event_assign(&a->event, worker_base(w), listen_fd(s, adit_worker_index(w)),
		     EV_READ | EV_PERSIST, acceptor_event, a);
	if (!a->pause || event_add(&a->event, NULL) < 0) {
		adit_err_set(e, -ENOMEM, "out of memory");
		acceptor_free(a);
		return NULL;
	}
	return a;
}

void
acceptor_free(struct acceptor *a)
{
	if (!a)
		return;
	if (event_initialized(&a->event))
		event_del(&a->event);
	adit_timer_free(a->pause);
	free(a);
}
