/*
 * What a connection speaks, from its first bytes, and which host an HTTP/1 request probably
 * names. Both look at bytes that stay with the caller; asked again with more bytes, an answer
 * other than "more" does not change. Put a time limit on it. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_SNIFF_H
#define ADIT_CORE_WIRE_SNIFF_H

#include <stddef.h>

#include "core/wire/hostname.h"

enum {
	SNIFF_MAX = 16384,		/* bytes after which a head without a Host is given up */
	SNIFF_METHOD_MAX = 32,		/* longest method taken for one */
	SNIFF_EMPTY_MAX = 1024,		/* bytes of empty lines in front of it */
};

enum sniff_protocol {
	SNIFF_MORE,			/* cannot be told yet */
	SNIFF_RELAY,			/* first byte 0x01 */
	SNIFF_TLS,			/* first byte 0x16; ask clienthello_parse() */
	SNIFF_HTTP1,			/* a method and a space */
	SNIFF_HTTP2,			/* the connection preface (RFC 9113, 3.4) */
	SNIFF_SSH,			/* "SSH-2" (RFC 4253, 4.2) */
	SNIFF_UNKNOWN,
};

/* Classifies the first len bytes. At most SNIFF_EMPTY_MAX + SNIFF_METHOD_MAX + 1 are needed. */
enum sniff_protocol sniff_protocol(const void *buf, size_t len);

/* How many of the len bytes are empty lines in front of a request (RFC 9112, 2.2), each a CRLF. */
size_t sniff_empty_lines(const void *buf, size_t len);

enum sniff_host {
	SNIFF_HOST_MORE,		/* not there yet */
	SNIFF_HOST_FOUND,
	SNIFF_HOST_NONE,		/* the head ended without one */
	SNIFF_HOST_MALFORMED,		/* it is no host, or the head exceeds SNIFF_MAX */
};

/*
 * Finds the first Host field in an HTTP/1 request head that may still be arriving. This is a hint
 * for where to handle the connection and nothing else: the HTTP parser decides later what the
 * request really says, and may well decide otherwise (two Host fields, an absolute target).
 */
enum sniff_host sniff_http_host(const void *buf, size_t len, struct hostname *out);

#endif
