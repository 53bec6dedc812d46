/*
 * Bounded access to bytes on the wire. A reader walks bytes that somebody sent and never leaves
 * them; a writer fills a buffer of the caller and goes on counting where the buffer ends, so
 * that one function both measures and encodes. Both remember that something went wrong in
 * `bad`, which is asked once at the end.
 */
#ifndef ADIT_CORE_WIRE_BYTES_H
#define ADIT_CORE_WIRE_BYTES_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_reader {
	const uint8_t	*p;
	size_t		 left;
	bool		 bad;		/* something was read that is not there, and gave zero */
};

struct wire_writer {
	uint8_t		*p;		/* may be NULL when cap is 0 */
	size_t		 cap;
	size_t		 len;		/* what was written, or would have been */
	bool		 bad;		/* something cannot be expressed on the wire */
};

/*
 * Stores why (if not NULL) for a person and returns -EBADMSG: what decoders say about malformed
 * bytes.
 */
static inline int
wire_malformed(const char **why, const char *text)
{
	if (why)
		*why = text;
	return -EBADMSG;
}

/*
 * Whether buf begins with the n bytes of want: 1, or -1 if it differs, or 0 if it ends before that
 * is clear.
 */
static inline int
wire_match(const void *buf, size_t len, const void *want, size_t n)
{
	if (len && memcmp(buf, want, len < n ? len : n) != 0)
		return -1;
	return len < n ? 0 : 1;
}

/* Returns the next n bytes and steps over them; NULL (and bad) if there are fewer. */
static inline const uint8_t *
wire_take(struct wire_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->left < n) {
		r->left = 0;
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

/* A reader of the next n bytes; an empty, bad one if there are fewer. */
static inline struct wire_reader
wire_sub(struct wire_reader *r, size_t n)
{
	const uint8_t *p = wire_take(r, n);

	return (struct wire_reader){ .p = p, .left = p ? n : 0, .bad = !p };
}

static inline uint8_t
wire_get8(struct wire_reader *r)
{
	const uint8_t *p = wire_take(r, 1);

	return p ? *p : 0;
}

/* Big-endian. */
static inline uint16_t
wire_get16(struct wire_reader *r)
{
	const uint8_t *p = wire_take(r, 2);

	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

static inline void
wire_put(struct wire_writer *w, const void *bytes, size_t n)
{
	if (n && w->len <= w->cap && n <= w->cap - w->len)
		memcpy(w->p + w->len, bytes, n);
	w->len += n;
}

static inline void
wire_put8(struct wire_writer *w, unsigned value)
{
	wire_put(w, &(uint8_t){ (uint8_t)value }, 1);
}

/* Big-endian. */
static inline void
wire_put16(struct wire_writer *w, unsigned value)
{
	wire_put(w, (const uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

#endif
