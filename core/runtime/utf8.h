/*
 * UTF-8 (RFC 3629) in bytes of others: no overlong form, no surrogate, nothing beyond U+10FFFF.
 */
#ifndef ADIT_CORE_UTF8_H
#define ADIT_CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * The length of the sequence at s, which has n bytes or a terminator before, and its code point in
 * *out; 0: there is none.
 */
size_t utf8_decode(const char *s, size_t n, uint32_t *out);

#endif
