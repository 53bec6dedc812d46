/*
 * Redis's protocol (RESP 2), as a client has it. No I/O, no allocation; any thread.
 *
 *	+text\r\n  -error\r\n  :number\r\n  $len\r\n<len bytes>\r\n  $-1\r\n  *n\r\n<n elements>
 */
#ifndef ADIT_CORE_WIRE_RESP_H
#define ADIT_CORE_WIRE_RESP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RESP_LINE_MAX 1024	/* of text, an error, a number, with its end */

enum resp_type { RESP_TEXT, RESP_ERROR, RESP_NUMBER, RESP_BULK, RESP_NIL, RESP_ARRAY };

struct resp {
	enum resp_type	 type;
	const char	*text;		/* of text, error and bulk: in the bytes, not terminated */
	size_t		 len;
	int64_t		 number;	/* of a number; of an array: how many elements follow */
};

/*
 * The element that buf begins with: how many bytes it is, an array's without its elements. 0: more
 * is needed. -EBADMSG: no such thing; -EMSGSIZE: a bulk longer than max, or a line too long.
 */
ssize_t resp_decode(const void *buf, size_t len, size_t max, struct resp *out);

/*
 * Writes a command of n words, up to size bytes (out may be NULL then), and returns how many it
 * has: more than size, and out is of no use.
 */
size_t resp_encode(const char *const *words, size_t n, void *out, size_t size);

#endif
