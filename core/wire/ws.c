#include "core/wire/ws.h"

#include "core/wire/bytes.h"

#define FIN	0x80
#define RSV	0x70
#define OPCODE	0x0f
#define MASKED	0x80
#define LEN	0x7f
#define LEN_16	126
#define LEN_64	127

static bool
is_control(uint8_t opcode)
{
	return opcode & 8;
}

static bool
is_known(uint8_t opcode)
{
	return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* What can be told from the first two bytes: what is wrong with f, or NULL. */
static const char *
find_fault(const uint8_t *p, const struct ws_frame *f)
{
	if (p[0] & RSV)
		return "a WebSocket frame with a reserved bit, which no extension has given a use";
	if (!is_known(f->opcode))
		return "a WebSocket frame of an unknown kind";
	if (is_control(f->opcode) && !f->fin)
		return "a WebSocket control frame in parts";
	if (is_control(f->opcode) && f->len > WS_CONTROL_MAX)
		return "a WebSocket control frame with more than 125 bytes";
	return NULL;
}

static uint64_t
get_number(const uint8_t *p, size_t n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | *p++;
	return value;
}

ssize_t
ws_decode(const void *buf, size_t len, struct ws_frame *f, const char **why)
{
	const uint8_t *p = buf;
	const char *fault;
	size_t more = 0;

	if (len < 2)
		return 0;
	*f = (struct ws_frame){
		.fin = p[0] & FIN, .opcode = p[0] & OPCODE, .masked = p[1] & MASKED,
		.len = p[1] & LEN,
	};
	fault = find_fault(p, f);
	if (fault)
		return wire_malformed(why, fault);
	if (f->len >= LEN_16)
		more = f->len == LEN_16 ? 2 : 8;
	if (len < 2 + more + (f->masked ? WS_KEY_LEN : 0))
		return 0;
	if (more)
		f->len = get_number(p + 2, more);
	if (more && f->len < (more == 2 ? LEN_16 : UINT64_C(65536)))
		return wire_malformed(why, "a WebSocket length that is not in its shortest form");
	if (f->len >> 63)
		return wire_malformed(why, "a WebSocket length beyond 63 bits");
	if (f->masked)
		memcpy(f->key, p + 2 + more, WS_KEY_LEN);
	return (ssize_t)(2 + more + (f->masked ? WS_KEY_LEN : 0));
}

size_t
ws_encode(const struct ws_frame *f, uint8_t out[WS_HEAD_MAX])
{
	size_t more = f->len < LEN_16 ? 0 : f->len < 65536 ? 2 : 8;
	uint8_t len = more == 0 ? (uint8_t)f->len : more == 2 ? LEN_16 : LEN_64;

	out[0] = (uint8_t)((f->fin ? FIN : 0) | f->opcode);
	out[1] = (uint8_t)((f->masked ? MASKED : 0) | len);
	for (size_t i = 0; i < more; i++)
		out[2 + i] = (uint8_t)(f->len >> 8 * (more - 1 - i));
	if (!f->masked)
		return 2 + more;
	memcpy(out + 2 + more, f->key, WS_KEY_LEN);
	return 2 + more + WS_KEY_LEN;
}

void
ws_mask(void *to, const void *from, size_t len, const uint8_t key[WS_KEY_LEN], uint64_t offset)
{
	const uint8_t *p = from;
	uint8_t *q = to, turned[8];
	uint64_t eight, word;

	for (size_t i = 0; i < sizeof(turned); i++)
		turned[i] = key[(offset + i) % WS_KEY_LEN];
	memcpy(&eight, turned, sizeof(eight));
	for (; len >= sizeof(word); len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		word ^= eight;
		memcpy(q, &word, sizeof(word));
		p += sizeof(word);
		q += sizeof(word);
	}
	for (size_t i = 0; i < len; i++)
		q[i] = p[i] ^ turned[i];
}
