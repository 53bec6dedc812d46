#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/arena.h"

#define BLOCK_SIZE 16384

struct block {
	struct block			*next;
	size_t				 used, size;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct block	*blocks;	/* the first is the one being filled */
	bool		 failed;
};

struct arena *
arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void
arena_free(struct arena *a)
{
	struct block *next;

	if (!a)
		return;
	for (struct block *b = a->blocks; b; b = next) {
		next = b->next;
		explicit_bzero(b->bytes, b->used);	/* it may hold passwords */
		free(b);
	}
	free(a);
}

/* A request that fills a block by itself goes behind the current one, which still has room. */
static struct block *
add_block(struct arena *a, size_t len)
{
	size_t size = len > BLOCK_SIZE / 4 ? len : BLOCK_SIZE;
	struct block *b = NULL;

	if (size <= SIZE_MAX - sizeof(*b))
		b = calloc(1, sizeof(*b) + size);
	if (!b) {
		a->failed = true;
		return NULL;
	}
	b->size = size;
	if (a->blocks && size != BLOCK_SIZE) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
}

void *
arena_alloc(struct arena *a, size_t len)
{
	struct block *b = a->blocks;
	void *p;

	if (a->failed || len > SIZE_MAX - alignof(max_align_t)) {
		a->failed = true;
		return NULL;
	}
	len = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!b || b->size - b->used < len)
		b = add_block(a, len);
	if (!b)
		return NULL;
	p = b->bytes + b->used;
	b->used += len;
	return p;
}

char *
arena_strndup(struct arena *a, const char *text, size_t len)
{
	char *copy;

	if (!text)
		return NULL;
	copy = arena_alloc(a, len + 1);
	if (copy)
		memcpy(copy, text, len);
	return copy;
}

char *
arena_strdup(struct arena *a, const char *text)
{
	return text ? arena_strndup(a, text, strlen(text)) : NULL;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		text = arena_alloc(a, (size_t)n + 1);
	if (!text)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}

void *
arena_grow(struct arena *a, const void *old, size_t used, size_t n, size_t size)
{
	void *p;

	if (n > SIZE_MAX / 2 / size) {
		a->failed = true;
		return NULL;
	}
	p = arena_alloc(a, n * size);
	if (p && used)
		memcpy(p, old, used * size);
	return p;
}

void
arena_fail(struct arena *a)
{
	a->failed = true;
}

bool
arena_failed(const struct arena *a)
{
	return a->failed;
}
