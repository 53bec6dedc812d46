#include "core/wire/ws_unpack.h"

#include <string.h>

/* A control frame has arrived whole. */
static void
unpack_control(struct ws_unpack *u)
{
	if (u->frame.opcode == WS_CLOSE && u->control_len == 1)
		u->fault = "a WebSocket Close frame with half a code";
	else if (u->frame.opcode == WS_CLOSE)
		u->closed = true;
	if (u->frame.opcode != WS_PING)
		return;
	memcpy(u->ping, u->control, u->control_len);
	u->ping_len = u->control_len;
	u->pinged = true;
}

/* A head is there. */
static void
unpack_begin(struct ws_unpack *u)
{
	const struct ws_frame *f = &u->frame;

	u->left = f->len;
	u->control_len = 0;
	if (f->masked == u->client) {
		u->fault = u->client ? "a masked WebSocket frame from the server"
				     : "a WebSocket frame that is not masked";
		return;
	}
	if (f->opcode >= WS_CLOSE) {
		if (!u->left)
			unpack_control(u);
		return;
	}
	if ((f->opcode == WS_CONTINUATION) != u->in_message)
		u->fault = u->in_message ? "a WebSocket message within another"
					 : "a WebSocket message without a beginning";
	u->in_message = !f->fin;
}

/* Bytes of a head, from *at on. */
static void
unpack_head(struct ws_unpack *u, const uint8_t **at, const uint8_t *end)
{
	size_t before = u->head_len, n = sizeof(u->head) - before;
	const char *why = NULL;
	ssize_t len;

	if (n > (size_t)(end - *at))
		n = (size_t)(end - *at);
	memcpy(u->head + before, *at, n);
	len = ws_decode(u->head, before + n, &u->frame, &why);
	if (len < 0) {
		u->fault = why ? why : "no WebSocket frame";
		return;
	}
	if (len == 0) {
		u->head_len += n;
		*at += n;
		return;
	}
	*at += (size_t)len - before;
	u->head_len = 0;
	unpack_begin(u);
}

/* Bytes of a payload; data goes to *to, which is not behind *at. */
static void
unpack_payload(struct ws_unpack *u, const uint8_t **at, const uint8_t *end, uint8_t **to)
{
	size_t n = (size_t)(end - *at);
	bool control = u->frame.opcode >= WS_CLOSE;
	uint8_t *into = control ? u->control + u->control_len : *to;

	if (n > u->left)
		n = (size_t)u->left;
	if (u->frame.masked)
		ws_mask(into, *at, n, u->frame.key, u->frame.len - u->left);
	else if (into != *at && n)
		memmove(into, *at, n);
	*at += n;
	u->left -= n;
	if (!control) {
		*to += n;
		return;
	}
	u->control_len += n;
	if (!u->left)
		unpack_control(u);
}

size_t
ws_unpack(struct ws_unpack *u, uint8_t *buf, size_t len)
{
	const uint8_t *at = buf, *end = buf + len;
	uint8_t *to = buf;

	while (at < end && !u->fault && !u->closed) {
		if (u->left)
			unpack_payload(u, &at, end, &to);
		else
			unpack_head(u, &at, end);
	}
	return (size_t)(to - buf);
}

bool
ws_unpack_is_between(const struct ws_unpack *u)
{
	return !u->left && !u->head_len && !u->in_message;
}
