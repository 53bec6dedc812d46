#include "core/service/listening.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/log.h>

#include "core/service/component.h"

/* A port that the kernel chose for the first is somebody else's for the next one, so many times. */
#define PORTS_TRIED 16

static struct adit_listener *
listener_of(const struct instance *way)
{
	return way->base;
}

static const char *
listener_network(const struct adit_listener *l)
{
	return l->ops->network ? l->ops->network : "tcp";
}

static int
way_open(const struct instance *way, struct adit_err *e)
{
	struct adit_listener *l = listener_of(way);
	int err = l->ops->open(l, e);

	if (err && !e->code)
		adit_err_set(e, err, "listen %s/%s: %s", l->addr, listener_network(l),
			     adit_strerror(err));
	return err;
}

/* Gives way the port that first was given, if the kernel was to choose it. 1: it has; 0: no; or
 * -ENOMEM. */
static int
way_follow(struct instance *way, const struct adit_listener *first)
{
	const struct adit_addr *local = first->ops->local ? first->ops->local(first) : NULL;
	struct adit_listener *l = listener_of(way);
	char host[256], *addr;
	uint16_t port;
	bool literal;

	if (!local || adit_hostport_split(first->addr, host, sizeof(host), &port) < 0 || port)
		return 0;
	literal = strchr(host, ':');
	if (asprintf(&addr, literal ? "[%s]:%u" : "%s:%u", host, local->port) < 0)
		return -ENOMEM;
	free(way->addr);
	l->addr = way->addr = addr;
	return 1;
}

/* -EAGAIN: not at the port that the kernel chose, which was let go again. */
static int
ways_open(struct instance *ways, size_t n, struct adit_err *e)
{
	const struct adit_listener *first = listener_of(&ways[0]);
	int follows = 0, err = way_open(&ways[0], e);
	size_t opened = !err;

	for (; !err && opened < n; opened += !err) {
		follows = way_follow(&ways[opened], first);
		err = follows < 0 ? follows : way_open(&ways[opened], e);
	}
	if (!err)
		return 0;
	while (opened--)
		listener_of(&ways[opened])->ops->close(ways[opened].base);
	return follows > 0 && err == -EADDRINUSE ? -EAGAIN : err;
}

int
listening_open(struct instance *i, struct adit_err *e)
{
	size_t n;
	struct instance *ways = instance_ways(i, &n);
	int err = n ? -EAGAIN : 0;

	for (int tries = 0; err == -EAGAIN && tries < PORTS_TRIED; tries++)
		err = ways_open(ways, n, e);
	if (err && !e->code)
		adit_err_set(e, err, "%s", adit_strerror(err));
	return err;
}

int
listening_start(struct instance *i, struct adit_worker *w, struct adit_err *e)
{
	size_t n;
	struct instance *ways = instance_ways(i, &n);
	int err = 0;

	for (size_t k = 0; !err && k < n; k++)
		err = listener_of(&ways[k])->ops->start(ways[k].base, w, e);
	return err;
}

void
listening_stop(struct instance *i, struct adit_worker *w)
{
	size_t n;
	struct instance *ways = instance_ways(i, &n);

	for (size_t k = 0; k < n; k++)
		listener_of(&ways[k])->ops->stop(ways[k].base, w);
}

void
listening_close(struct instance *i)
{
	size_t n;
	struct instance *ways = instance_ways(i, &n);

	while (n--)
		listener_of(&ways[n])->ops->close(ways[n].base);
}

void
listening_settle(struct instance *i)
{
	size_t n;
	struct instance *ways = instance_ways(i, &n);

	for (size_t k = 0; k < n; k++)
		if (listener_of(&ways[k])->ops->settle)
			listener_of(&ways[k])->ops->settle(ways[k].base);
}

bool
listening_is_ready(const struct instance *i)
{
	const struct adit_listener *l = i->base;

	for (size_t k = 0; k < i->n_ways; k++)
		if (!listening_is_ready(&i->ways[k]))
			return false;
	return !l || !l->ops->ready || l->ops->ready(l);
}

const struct instance *
listening_way(const struct instance *i, const struct adit_listener *l)
{
	for (size_t k = 0; k < i->n_ways; k++)
		if (i->ways[k].base == l)
			return &i->ways[k];
	return i;
}

void
listening_log(struct instance *i, const char *service, const char *handler)
{
	size_t n;
	struct instance *ways = instance_ways(i, &n);

	for (size_t k = 0; k < n; k++) {
		const struct adit_listener *l = ways[k].base;
		const struct adit_addr *local = l->ops->local ? l->ops->local(l) : NULL;
		char text[ADIT_ADDR_TEXT];

		adit_log(l->component->log, ADIT_LOG_INFO,
			 ADIT_FIELDS(ADIT_STR("kind", "service"), ADIT_STR("service", service),
				     ADIT_STR("listener", i->plugin->name),
				     ADIT_STR("handler", handler)),
			 "listening on %s/%s", local ? adit_addr_format(local, text) : l->addr,
			 listener_network(l));
	}
}
