/*
 * Variable-length integers of RFC 9000, section 16: the two upper bits of the first byte say how
 * many bytes there are (1, 2, 4, 8), the rest is the value, big-endian.
 */
#ifndef ADIT_CORE_WIRE_VARINT_H
#define ADIT_CORE_WIRE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX_LEN 8
#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* Reads one. Returns the bytes it takes, or 0: it is not all there. */
static inline size_t
varint_read(const uint8_t *p, size_t len, uint64_t *value)
{
	size_t n = len ? (size_t)1 << (*p >> 6) : 1;

	if (len < n)
		return 0;
	*value = *p & 0x3f;
	for (size_t i = 1; i < n; i++)
		*value = *value << 8 | p[i];
	return n;
}

/* The bytes that the shortest encoding of a value up to VARINT_MAX takes. */
static inline size_t
varint_size(uint64_t value)
{
	return value < 1u << 6 ? 1 : value < 1u << 14 ? 2 : value < 1u << 30 ? 4 : 8;
}

/* Writes the shortest encoding of a value up to VARINT_MAX. Returns its length. */
static inline size_t
varint_write(uint8_t out[VARINT_MAX_LEN], uint64_t value)
{
	size_t n = varint_size(value);

	for (size_t i = n; i--; value >>= 8)
		out[i] = (uint8_t)value;
	out[0] |= (uint8_t)(n == 1 ? 0x00 : n == 2 ? 0x40 : n == 4 ? 0x80 : 0xc0);
	return n;
}

#endif
