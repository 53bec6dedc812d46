/*
 * WebSocket frames (RFC 6455, 5.2):
 *
 *	 0                   1
 *	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
 *	+-+-+-+-+-------+-+-------------+--------------------+-----------+---------
 *	|F|R|R|R|       |M|             |  126: 16 bits more | key, if M |
 *	|I|S|S|S|opcode |A| LEN (7)     |  127: 64 bits more | (32)      | payload
 *	|N|V|V|V|       |S|             |  (big-endian)      |           |
 *	|                |K|            |                    |           |
 *	+-+-+-+-+-------+-+-------------+--------------------+-----------+---------
 *
 * Only the format is here. No I/O, no allocation; any thread. libwslay, against which the unit
 * tests hold this, masks byte by byte: 3 s of CPU for a GiB both ways, ten times what all else of a
 * forwarded byte costs.
 */
#ifndef ADIT_CORE_WIRE_WS_H
#define ADIT_CORE_WIRE_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,			/* control frames from here on: never fragmented */
	WS_PING = 9,
	WS_PONG = 10,
};

/* RFC 6455, 7.4.1: those that we send. */
enum ws_code {
	WS_CODE_NORMAL = 1000,
	WS_CODE_PROTOCOL = 1002,
};

enum {
	WS_HEAD_MAX = 14,		/* bytes in front of a payload */
	WS_CONTROL_MAX = 125,		/* payload of a control frame */
	WS_KEY_LEN = 4,
};

struct ws_frame {
	bool		fin, masked;
	uint8_t		opcode;		/* enum ws_opcode */
	uint8_t		key[WS_KEY_LEN];/* of masked */
	uint64_t	len;		/* of the payload that follows; below 2^63 */
};

/*
 * Decodes the head at the beginning of buf. Returns its length, 0 if more bytes are needed, or
 * -EBADMSG with why (static; may be NULL): an opcode or a bit that nobody agreed on, a length that
 * is not in its shortest form, a control frame in parts or too long. The payload is left to the
 * caller.
 */
ssize_t ws_decode(const void *buf, size_t len, struct ws_frame *f, const char **why);

/* Writes the head, at most WS_HEAD_MAX bytes; returns its length. f must be valid. */
size_t ws_encode(const struct ws_frame *f, uint8_t out[WS_HEAD_MAX]);

/*
 * Masks or unmasks len bytes which stand at that offset in their payload. to is from, or in front
 * of it, or elsewhere.
 */
void ws_mask(void *to, const void *from, size_t len, const uint8_t key[WS_KEY_LEN],
	     uint64_t offset);

#endif
