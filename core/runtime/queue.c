#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime/memory.h"
#include "core/runtime/queue.h"

struct chunk {
	struct chunk	*next;
	uint32_t	 start, end;	/* of the bytes held, in data */
	uint8_t		 data[];
};

#define CHUNK_DATA (CHUNK_SIZE - sizeof(struct chunk))

struct chunk_pool {
	struct chunk	*spare;
	unsigned	 n_spare, keep;
	size_t		 used;		/* chunks that queues hold */
	struct memory	*memory;	/* borrowed; or NULL */
};

struct chunk_pool *
chunk_pool_new(unsigned keep, struct memory *memory)
{
	struct chunk_pool *p = calloc(1, sizeof(*p));

	if (p) {
		p->keep = keep;
		p->memory = memory;
	}
	return p;
}

static struct chunk *
chunk_new(struct chunk_pool *p)
{
	struct chunk *c = malloc(CHUNK_SIZE);

	if (c && p->memory)
		memory_take(p->memory, CHUNK_SIZE);
	return c;
}

static void
chunk_free(struct chunk_pool *p, struct chunk *c)
{
	free(c);
	if (p->memory)
		memory_give(p->memory, CHUNK_SIZE);
}

static void
chunk_pool_trim(struct chunk_pool *p)
{
	while (p->spare) {
		struct chunk *c = p->spare;

		p->spare = c->next;
		chunk_free(p, c);
	}
	p->n_spare = 0;
}

void
chunk_pool_free(struct chunk_pool *p)
{
	if (!p)
		return;
	assert(p->used == 0);
	chunk_pool_trim(p);
	free(p);
}

size_t
chunk_pool_used(const struct chunk_pool *p)
{
	return p->used * CHUNK_SIZE;
}

static struct chunk *
chunk_get(struct chunk_pool *p)
{
	struct chunk *c = p->spare;

	if (c) {
		p->spare = c->next;
		p->n_spare--;
	} else {
		c = chunk_new(p);
		if (!c)
			return NULL;
	}
	p->used++;
	c->next = NULL;
	c->start = c->end = 0;
	return c;
}

static void
chunk_put(struct chunk_pool *p, struct chunk *c)
{
	p->used--;
	if (p->memory && memory_is_short(p->memory)) {
		chunk_free(p, c);
		chunk_pool_trim(p);
		return;
	}
	if (p->n_spare >= p->keep) {
		chunk_free(p, c);
		return;
	}
	c->next = p->spare;
	p->spare = c;
	p->n_spare++;
}

void
queue_init(struct queue *q, struct chunk_pool *pool, size_t cap)
{
	*q = (struct queue){ .pool = pool, .cap = cap };
}

void
queue_fini(struct queue *q)
{
	while (q->first) {
		struct chunk *c = q->first;

		q->first = c->next;
		chunk_put(q->pool, c);
	}
	q->last = NULL;
	q->len = 0;
}

size_t
queue_room(const struct queue *q)
{
	return q->len < q->cap ? q->cap - q->len : 0;
}

void
queue_yield(struct queue *q)
{
	q->yields = true;
}

static bool
queue_must_wait(const struct queue *q)
{
	const struct memory *m = q->pool->memory;

	return q->yields && m && memory_level(m) >= (q->first ? MEMORY_SHORT : MEMORY_GONE);
}

static bool
queue_grow(struct queue *q)
{
	struct chunk *c;

	q->yielded = queue_must_wait(q);
	c = q->yielded ? NULL : chunk_get(q->pool);
	if (!c)
		return false;
	if (q->last)
		q->last->next = c;
	else
		q->first = c;
	q->last = c;
	return true;
}

void *
queue_reserve(struct queue *q, size_t *len)
{
	size_t room = queue_room(q);

	if (!room)
		return NULL;
	if ((!q->last || q->last->end == CHUNK_DATA) && !queue_grow(q))
		return NULL;
	*len = CHUNK_DATA - q->last->end;
	if (*len > room)
		*len = room;
	return q->last->data + q->last->end;
}

void
queue_commit(struct queue *q, size_t len)
{
	struct chunk *c = q->last;

	assert(c && len <= CHUNK_DATA - c->end);
	c->end += (uint32_t)len;
	q->len += len;
	if (q->len == 0)		/* reserved, and nothing came */
		queue_fini(q);
}

size_t
queue_add(struct queue *q, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	size_t done = 0;

	while (done < len) {
		size_t n;
		void *to = queue_reserve(q, &n);

		if (!to)
			break;
		if (n > len - done)
			n = len - done;
		memcpy(to, from + done, n);
		queue_commit(q, n);
		done += n;
	}
	return done;
}

size_t
queue_addv(struct queue *q, const struct iovec *iov, int n)
{
	size_t done = 0;

	for (int i = 0; i < n; i++) {
		size_t took = queue_add(q, iov[i].iov_base, iov[i].iov_len);

		done += took;
		if (took < iov[i].iov_len)
			break;
	}
	return done;
}

int
queue_peek(const struct queue *q, size_t offset, struct iovec *iov, int n)
{
	const struct chunk *c = q->first;
	int i = 0;

	while (c && offset >= c->end - c->start) {
		offset -= c->end - c->start;
		c = c->next;
	}
	for (; c && i < n; c = c->next) {
		if (c->end == c->start)
			continue;
		/* The vector is read only; iovec has no const. */
		iov[i].iov_base = (void *)(uintptr_t)(c->data + c->start + offset);
		iov[i].iov_len = c->end - c->start - offset;
		offset = 0;
		i++;
	}
	return i;
}

void
queue_drop(struct queue *q, size_t len)
{
	assert(len <= q->len);
	q->len -= len;
	while (q->first) {
		struct chunk *c = q->first;
		size_t held = c->end - c->start;

		if (len < held) {
			c->start += (uint32_t)len;
			return;
		}
		len -= held;
		q->first = c->next;
		if (!q->first)
			q->last = NULL;
		chunk_put(q->pool, c);
		if (!len && q->len)
			return;
	}
}

void
queue_truncate(struct queue *q, size_t len)
{
	struct queue rest = *q;
	struct chunk *c = q->first;

	if (len >= q->len)
		return;
	if (!len) {
		queue_fini(q);
		return;
	}
	q->len = len;
	for (; len > c->end - c->start; c = c->next)
		len -= c->end - c->start;
	c->end = c->start + (uint32_t)len;
	rest.first = c->next;
	c->next = NULL;
	q->last = c;
	queue_fini(&rest);
}

size_t
queue_copy(const struct queue *q, size_t offset, void *buf, size_t len)
{
	const struct chunk *c = q->first;
	uint8_t *to = buf;
	size_t done = 0;

	for (; c && done < len; c = c->next) {
		size_t held = c->end - c->start, n;

		if (offset >= held) {
			offset -= held;
			continue;
		}
		n = held - offset;
		if (n > len - done)
			n = len - done;
		memcpy(to + done, c->data + c->start + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

size_t
queue_take(struct queue *q, void *buf, size_t len)
{
	size_t n = queue_copy(q, 0, buf, len);

	queue_drop(q, n);
	return n;
}
