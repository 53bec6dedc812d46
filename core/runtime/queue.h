/*
 * A byte queue made of chunks from its worker's pool. Chunks never move, so bytes that may have to
 * be sent again (ngtcp2, nghttp2) can stand in it. An empty queue holds no chunk. Every queue has a
 * cap; every chunk counts towards the process budget (core/runtime/memory.h), and a queue that
 * yields takes no more chunks while memory is short.
 */
#ifndef ADIT_CORE_QUEUE_H
#define ADIT_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CHUNK_SIZE 16384	/* with its header */

struct chunk;
struct chunk_pool;
struct memory;

struct queue {
	struct chunk		*first, *last;
	struct chunk_pool	*pool;
	size_t			 len;	/* bytes held */
	size_t			 cap;	/* of len */
	bool			 yields;/* while memory is short: what it holds must be enough */
	bool			 yielded;/* the last time that it wanted a chunk */
};

/*
 * A pool is of one thread. keep: chunks kept for reuse; they count as used, and are not kept while
 * memory is short. memory: borrowed, or NULL.
 */
struct chunk_pool *chunk_pool_new(unsigned keep, struct memory *memory);
void chunk_pool_free(struct chunk_pool *p);	/* all queues must be empty */
size_t chunk_pool_used(const struct chunk_pool *p);	/* bytes in chunks that queues hold */

void queue_init(struct queue *q, struct chunk_pool *pool, size_t cap);
void queue_fini(struct queue *q);		/* gives its chunks back; may be init'ed again */

/*
 * Lets q stay behind while memory is short: it gets its first chunk only, and none when memory is
 * gone. For what can be refused: bytes that we would read from somebody.
 */
void queue_yield(struct queue *q);

/*
 * Appends as much of buf as the cap leaves room for; returns how much (less too when out of memory,
 * or yielding).
 */
size_t queue_add(struct queue *q, const void *buf, size_t len);
size_t queue_addv(struct queue *q, const struct iovec *iov, int n);

/* The bytes in iov. */
static inline size_t
iov_total(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* Room left under the cap. */
size_t queue_room(const struct queue *q);

/*
 * Space to read into directly: up to *len bytes in one piece, NULL when full; then queue_commit
 * what was used.
 */
void *queue_reserve(struct queue *q, size_t *len);
void queue_commit(struct queue *q, size_t len);

/* Points at most n iovecs at the bytes from offset on; returns how many. */
int queue_peek(const struct queue *q, size_t offset, struct iovec *iov, int n);

/* Drops len bytes from the front (len <= q->len). */
void queue_drop(struct queue *q, size_t len);

/* Keeps the first len bytes only. */
void queue_truncate(struct queue *q, size_t len);

/* Copies out and drops; returns how much. */
size_t queue_take(struct queue *q, void *buf, size_t len);

/* Copies without dropping. */
size_t queue_copy(const struct queue *q, size_t offset, void *buf, size_t len);

#endif
