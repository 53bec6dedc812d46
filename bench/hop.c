#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/hop.h"
#include "bench/sockets.h"

enum { EVENTS = 64 };

static const struct hop_kind *const kinds[] = {
	&hop_rw, &hop_splice, &hop_tls_out, &hop_tls_in,
};

struct hop {
	const struct hop_kind	*kind;
	int			 epoll, listener;
	long			 connect_port;
	struct pair		*dead;		/* freed when no event of this round names them */
};

static void
side_watch(struct hop *h, struct side *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (s->watched == events)
		return;
	s->watched = events;
	if (epoll_ctl(h->epoll, EPOLL_CTL_MOD, s->fd, &ev))
		err(1, "epoll_ctl");
}

static void
pair_watch(struct hop *h, struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		struct side *s = &p->sides[i], *other = &p->sides[!i];

		side_watch(h, s, (s->held || s->ended ? 0u : (uint32_t)EPOLLIN) |
				 (other->held ? (uint32_t)EPOLLOUT : 0u));
	}
}

static void
pair_bury(struct hop *h, struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	p->next_dead = h->dead;
	h->dead = p;
}

static void
hop_accept(struct hop *h)
{
	int fd = sockets_accept(h->listener), to;
	struct pair *p;

	if (fd < 0)
		return;
	to = sockets_connect(h->connect_port);
	if (to < 0) {
		close(fd);
		return;
	}
	p = calloc(1, h->kind->size);
	if (!p)
		err(1, "calloc");
	p->sides[0] = (struct side){ .pair = p, .fd = fd };
	p->sides[1] = (struct side){ .pair = p, .fd = to };
	for (int i = 0; i < 2; i++)
		sockets_watch(h->epoll, p->sides[i].fd, 0, &p->sides[i]);
	if (h->kind->open(p)) {
		pair_bury(h, p);
		return;
	}
	for (int i = 0; i < 2; i++)
		sockets_nonblocking(p->sides[i].fd);
	pair_watch(h, p);
}

static void
hop_serve(struct hop *h, struct side *s, uint32_t events)
{
	struct pair *p = s->pair;
	int side = s == &p->sides[1], err = 0;

	if (p->dead)
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		err = h->kind->move(p, side);
	if (!err && events & EPOLLOUT)
		err = h->kind->move(p, !side);
	if (p->sides[0].ended && p->sides[1].ended && !p->sides[0].held && !p->sides[1].held)
		err = -1;
	if (err)
		pair_bury(h, p);
	else
		pair_watch(h, p);
}

static void
hop_free_dead(struct hop *h)
{
	while (h->dead) {
		struct pair *p = h->dead;

		h->dead = p->next_dead;
		h->kind->close(p);
		close(p->sides[0].fd);
		close(p->sides[1].fd);
		free(p);
	}
}

static void
hop_run(struct hop *h)
{
	struct epoll_event ev[EVENTS];

	for (;;) {
		int n = epoll_wait(h->epoll, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				hop_serve(h, ev[i].data.ptr, ev[i].events);
			else
				hop_accept(h);
		}
		hop_free_dead(h);
	}
}

static const struct hop_kind *
kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	errx(2, "no such kind of hop: %s", name);
}

int
main(int argc, char **argv)
{
	struct hop h = { .epoll = epoll_create1(EPOLL_CLOEXEC) };

	if (argc < 4)
		errx(2, "usage: hop rw|splice|tls-out|tls-in LISTEN_PORT CONNECT_PORT [CERT KEY]");
	h.kind = kind_find(argv[1]);
	if ((unsigned)argc != 4 + h.kind->n_files)
		errx(2, "%s takes %u files", h.kind->name, h.kind->n_files);
	sockets_prepare();
	if (h.kind->prepare)
		h.kind->prepare(argv + 4);
	h.listener = sockets_listen(sockets_number(argv[2], UINT16_MAX));
	h.connect_port = sockets_number(argv[3], UINT16_MAX);
	sockets_watch(h.epoll, h.listener, EPOLLIN, NULL);
	hop_run(&h);
}
