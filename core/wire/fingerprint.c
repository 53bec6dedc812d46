#include "core/wire/fingerprint.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>

int
fingerprint_normalise(const char *text, char out[FINGERPRINT_TEXT])
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n == FINGERPRINT_DIGITS || !isxdigit((unsigned char)*text))
			return -EINVAL;
		out[n++] = (char)tolower((unsigned char)*text);
	}
	out[n] = 0;
	return n == FINGERPRINT_DIGITS ? 0 : -EINVAL;
}
