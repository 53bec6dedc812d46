/*
 * Memory of one configuration: tree nodes, their texts, the typed model. All of it is freed at
 * once, so nothing that points into a configuration owns anything.
 *
 * Running out of memory is remembered: the failing call and all later ones return NULL, what is
 * built on NULL stays NULL, and whoever loads asks arena_failed() once at the end. One thread at a
 * time; what was made may be read by any.
 */
#ifndef ADIT_CORE_CONFIG_ARENA_H
#define ADIT_CORE_CONFIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* Returns an empty arena, or NULL. */
struct arena *arena_new(void);

/* Frees the arena and everything taken from it. NULL is fine. */
void arena_free(struct arena *a);

/* Returns len zeroed bytes, aligned for any type, or NULL. */
void *arena_alloc(struct arena *a, size_t len);

/* Returns a terminated copy of len bytes of text, or NULL; also when text is NULL. */
char *arena_strndup(struct arena *a, const char *text, size_t len);
char *arena_strdup(struct arena *a, const char *text);

/* Returns a formatted text, or NULL. */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Returns an array of n elements of size, the first used of which are copied from old, or NULL. */
void *arena_grow(struct arena *a, const void *old, size_t used, size_t n, size_t size);

/* As if an allocation had failed: for what was allocated elsewhere on behalf of this
 * configuration. */
void arena_fail(struct arena *a);

/* True when an allocation failed since the arena was made. */
bool arena_failed(const struct arena *a);

#endif
