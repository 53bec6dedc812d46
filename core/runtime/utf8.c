#include "core/runtime/utf8.h"

/* What the first byte says of the length; 0: none begins so. */
static size_t
sequence_len(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t
utf8_decode(const char *s, size_t n, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = n ? (unsigned char)*s : 0x80;
	size_t len = sequence_len(first);
	uint32_t c = len < 2 ? first : first & (0x7fu >> len);

	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)	/* the terminator too */
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < least[len])
		return 0;
	*out = c;
	return len;
}
