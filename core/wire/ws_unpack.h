/*
 * WebSocket frames (core/wire/ws.h) out of a stream of bytes, in place: what is left in the buffer
 * is the data, and what came beside it stands in the unpacker. No I/O, no allocation; one thread.
 */
#ifndef ADIT_CORE_WIRE_WS_UNPACK_H
#define ADIT_CORE_WIRE_WS_UNPACK_H

#include "core/wire/ws.h"

/* Zeroed but for client, in the beginning. */
struct ws_unpack {
	bool			 client;	/* we are: what comes is not masked */
	uint8_t			 head[WS_HEAD_MAX];
	size_t			 head_len;
	struct ws_frame		 frame;		/* the one that is arriving */
	uint64_t		 left;		/* of its payload */
	bool			 in_message;	/* its last frame is still to come */
	uint8_t			 control[WS_CONTROL_MAX];
	size_t			 control_len;

	/* What came, for the caller to look at, and to clear where more may come. */
	bool			 pinged;	/* the last ping's payload is in ping */
	bool			 closed;	/* by a Close frame, with control: no more comes */
	uint8_t			 ping[WS_CONTROL_MAX];
	size_t			 ping_len;
	const char		*fault;		/* what breaks the protocol (static); the same */
};

/*
 * Takes len bytes apart. Returns how many bytes of data there are, which then stand at the front of
 * buf, also where it ends with closed or a fault: they came before.
 */
size_t ws_unpack(struct ws_unpack *u, uint8_t *buf, size_t len);

/* Whether the stream may end here: between two messages. */
bool ws_unpack_is_between(const struct ws_unpack *u);

#endif
