/*
 * smux frames, versions 1 and 2. The only little-endian numbers of the gost family:
 *
 *	 0     1     2      4          8
 *	+-----+-----+------+----------+---------------+
 *	| VER | CMD | LEN  | STREAMID | payload (LEN) |
 *	+-----+-----+------+----------+---------------+
 *	UPD's payload: CONSUMED(4) WINDOW(4)
 *
 * A peer does not skip a payload where none belongs: LEN is 0 but for PSH (any) and UPD (8). Only
 * the format is here; sessions, windows and time are core/mux's. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_SMUX_H
#define ADIT_CORE_WIRE_SMUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum smux_cmd {
	SMUX_SYN = 0,			/* open a stream */
	SMUX_FIN = 1,			/* the stream is finished, in both directions */
	SMUX_PSH = 2,			/* data; an empty one is legal and means nothing */
	SMUX_NOP = 3,			/* keepalive; gost sends stream id 0 and never answers */
	SMUX_UPD = 4,			/* version 2: what was read of a stream, and its window */
};

/* What the format and gost's defaults fix; sizes in bytes. */
enum {
	SMUX_HEADER_LEN = 8,
	SMUX_UPD_LEN = 8,
	SMUX_PAYLOAD_MAX = 65535,
	SMUX_FRAME_SIZE = 32768,	/* most payload that gost puts in a PSH */
	SMUX_FIRST_WINDOW = 262144,	/* of a stream before its first UPD, version 2 */
	SMUX_TUNNEL_WINDOW = 1048576,	/* what a gost advertises in a tunnel bind */
	SMUX_MTCP_WINDOW = 65536,	/* and over mtcp */
	SMUX_SESSION_BUFFER = 4194304,	/* unread bytes of all streams: gost reads no more */
	SMUX_BACKLOG = 1024,		/* streams not yet accepted: the same */
	SMUX_KEEPALIVE_SEC = 10,	/* a NOP this often */
	SMUX_TIMEOUT_SEC = 30,		/* without any frame gost ends the session */
};

struct smux_frame {
	uint8_t		version;	/* 1 or 2 */
	uint8_t		cmd;		/* enum smux_cmd */
	uint16_t	len;		/* of the payload that follows */
	uint32_t	stream;
};

struct smux_upd {
	uint32_t	consumed;	/* bytes of the stream read so far, modulo 2^32 */
	uint32_t	window;
};

/*
 * Decodes the header at the beginning of buf, which must be of the given version. Returns
 * SMUX_HEADER_LEN, 0 if fewer bytes are there, or -EBADMSG with why (static; may be NULL); a
 * malformed frame ends its session. The payload is left to the caller.
 */
ssize_t smux_decode(const void *buf, size_t len, unsigned version, struct smux_frame *f,
	const char **why);

/* Writes the header. f must be valid: smux_decode() would take it. */
void smux_encode(const struct smux_frame *f, uint8_t out[SMUX_HEADER_LEN]);

/* Reads the payload of a UPD; any bytes are valid. */
struct smux_upd smux_decode_upd(const uint8_t payload[SMUX_UPD_LEN]);

/* Writes the payload of a UPD. */
void smux_encode_upd(const struct smux_upd *u, uint8_t out[SMUX_UPD_LEN]);

#endif
