/*
 * The frames of HTTP/3 as bytes (RFC 9114, 7):
 *
 *	TYPE(varint) LEN(varint) payload (LEN bytes)
 *
 * Heads are cut without reading a byte too many, so that a payload can be taken from where it
 * stands. No I/O, no state of a connection.
 */
#ifndef ADIT_CORE_WIRE_H3_FRAME_H
#define ADIT_CORE_WIRE_H3_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h3_frame_type {
	H3_DATA = 0x0,
	H3_HEADERS = 0x1,
	H3_CANCEL_PUSH = 0x3,
	H3_SETTINGS = 0x4,
	H3_PUSH_PROMISE = 0x5,
	H3_GOAWAY = 0x7,
	H3_MAX_PUSH_ID = 0xd,
};

/* What a unidirectional stream begins with (RFC 9114, 6.2; RFC 9204, 4.2). */
enum h3_stream_type {
	H3_STREAM_CONTROL = 0x0,
	H3_STREAM_PUSH = 0x1,
	H3_STREAM_ENCODER = 0x2,
	H3_STREAM_DECODER = 0x3,
};

/* RFC 9114, 8.1; RFC 9204, 6. */
enum h3_code {
	H3_NO_ERROR = 0x100,
	H3_GENERAL_PROTOCOL_ERROR = 0x101,
	H3_INTERNAL_ERROR = 0x102,
	H3_STREAM_CREATION_ERROR = 0x103,
	H3_CLOSED_CRITICAL_STREAM = 0x104,
	H3_FRAME_UNEXPECTED = 0x105,
	H3_FRAME_ERROR = 0x106,
	H3_EXCESSIVE_LOAD = 0x107,
	H3_ID_ERROR = 0x108,
	H3_SETTINGS_ERROR = 0x109,
	H3_MISSING_SETTINGS = 0x10a,
	H3_REQUEST_REJECTED = 0x10b,
	H3_REQUEST_CANCELLED = 0x10c,
	H3_REQUEST_INCOMPLETE = 0x10d,
	H3_MESSAGE_ERROR = 0x10e,
	H3_CONNECT_ERROR = 0x10f,
	H3_VERSION_FALLBACK = 0x110,
	H3_QPACK_DECOMPRESSION_FAILED = 0x200,
	H3_QPACK_ENCODER_STREAM_ERROR = 0x201,
	H3_QPACK_DECODER_STREAM_ERROR = 0x202,
};

/* The name of such a code, or "an unknown error". */
const char *h3_code_text(uint64_t code);

/* ---- heads ----------------------------------------------------------------------------- */

#define H3_HEAD_MAX 16

/* The head of a frame that comes in pieces; zeroed: nothing of it yet. */
struct h3_head {
	uint8_t	bytes[H3_HEAD_MAX];
	uint8_t	n;		/* of bytes: the reader's to advance */
};

struct h3_frame {
	uint64_t type, len;
};

/* How many more bytes it has at least; 0: it is whole. */
size_t h3_head_needs(const struct h3_head *h);

/* What a whole one says; h is zeroed for the next. */
struct h3_frame h3_head_take(struct h3_head *h);

/* Writes a head. Returns its length. */
size_t h3_head_write(uint8_t out[H3_HEAD_MAX], uint64_t type, uint64_t len);

/* ---- where frames belong --------------------------------------------------------------- */

enum h3_place {
	H3_REQUEST,		/* a request stream, read by the server */
	H3_RESPONSE,		/* the same, read by the client */
	H3_CONTROL_OF_CLIENT,	/* a control stream, read by the server */
	H3_CONTROL_OF_SERVER,
};

/* What to do with a frame of that type: take it, skip it, or end the connection with a code. */
#define H3_TAKE 0
#define H3_SKIP 1
uint64_t h3_frame_place(uint64_t type, enum h3_place place);

/* ---- payloads -------------------------------------------------------------------------- */

/* RFC 9114, 7.2.4.1; RFC 9204, 5; RFC 9220, 3. */
struct h3_settings {
	uint64_t section_max;	/* of a field section; VARINT_MAX: it does not say */
	bool	 connect;	/* extended CONNECT is understood */
};

#define H3_SETTINGS_MAX	 1024	/* bytes of them that are read */
#define H3_SETTINGS_SIZE 32	/* that are written at most */

/* Reads the payload of SETTINGS. 0, or the code to end the connection with. */
uint64_t h3_settings_read(const uint8_t *p, size_t len, struct h3_settings *out);

/* Writes the whole frame. Returns its length. */
size_t h3_settings_write(uint8_t out[H3_SETTINGS_SIZE], const struct h3_settings *s);

/* The payload that is one number (GOAWAY, MAX_PUSH_ID, CANCEL_PUSH). False: it is not. */
bool h3_number_read(const uint8_t *p, size_t len, uint64_t *number);

#endif
