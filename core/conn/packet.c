#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include <adit/packet.h>

#include "core/runtime/worker.h"

#define ALIGN(n) (((n) + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1))

struct adit_packet_core {
	struct io		 io;
	struct adit_packet_conn	*packet;
	adit_packet_cb		*cb;
	void			*owner;
	struct adit_addr	 local;
};

static void
packet_run(struct io *io, unsigned events)
{
	struct adit_packet_core *core = adit_container_of(io, struct adit_packet_core, io);

	if (core->cb)
		core->cb(core->owner, core->packet, events);
}

static void
packet_free(struct io *io)
{
	struct adit_packet_core *core = adit_container_of(io, struct adit_packet_core, io);

	core->packet->ops->free(core->packet);
	free(core);
}

void *
adit_packet_new(struct adit_worker *w, const struct adit_packet_ops *ops, size_t size)
{
	struct adit_packet_core *core = calloc(1, ALIGN(sizeof(*core)) + size);
	struct adit_packet_conn *p;

	if (!core)
		return NULL;
	p = (struct adit_packet_conn *)(void *)((char *)core + ALIGN(sizeof(*core)));
	p->ops = ops;
	p->core = core;
	core->packet = p;
	io_init(&core->io, w, packet_run, packet_free);
	return p;
}

void
adit_packet_own(struct adit_packet_conn *p, adit_packet_cb *cb, void *owner)
{
	p->core->cb = cb;
	p->core->owner = owner;
}

void
adit_packet_want(struct adit_packet_conn *p, unsigned events)
{
	if (!p->core->io.closed)
		io_want(&p->core->io, events);
}

void
adit_packet_ready(struct adit_packet_conn *p, unsigned events)
{
	io_ready(&p->core->io, events);
}

int
adit_packet_recv(struct adit_packet_conn *p, struct adit_packet *v, int n)
{
	int got = p->ops->recv(p, v, n);

	if (got == -EAGAIN)
		p->core->io.ready &= (uint8_t)~ADIT_READ;
	return got;
}

int
adit_packet_send(struct adit_packet_conn *p, const struct adit_packet *v, int n)
{
	int sent = p->ops->send(p, v, n);

	if (sent == -EAGAIN)
		p->core->io.ready &= (uint8_t)~ADIT_WRITE;
	return sent;
}

bool
adit_packet_trouble(struct adit_packet_conn *p, struct adit_trouble *t)
{
	if (p->ops->size <= offsetof(struct adit_packet_ops, trouble) || !p->ops->trouble)
		return false;
	return p->ops->trouble(p, t);
}

void
adit_packet_close(struct adit_packet_conn *p)
{
	struct adit_packet_core *core;

	if (!p || p->core->io.closed)
		return;
	core = p->core;
	core->cb = NULL;
	io_hold(&core->io);
	io_close(&core->io);
	p->ops->close(p);
	io_release(&core->io);
}

struct adit_worker *
adit_packet_worker(const struct adit_packet_conn *p)
{
	return p->core->io.worker;
}

const struct adit_addr *
adit_packet_local(const struct adit_packet_conn *p)
{
	return &p->core->local;
}

void
adit_packet_set_local(struct adit_packet_conn *p, const struct adit_addr *a)
{
	p->core->local = *a;
}
