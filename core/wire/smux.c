#include "core/wire/smux.h"

#include "core/wire/bytes.h"

static uint32_t
get32_le(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void
put32_le(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

/* Returns what is wrong with f, or NULL. */
static const char *
find_fault(const struct smux_frame *f, unsigned version)
{
	if (f->version != version)
		return "the other side speaks another version of smux";
	if (f->cmd > SMUX_UPD || (f->cmd == SMUX_UPD && version < 2))
		return "unknown smux command";
	if (f->cmd == SMUX_UPD && f->len != SMUX_UPD_LEN)
		return "a smux UPD that has not 8 bytes";
	if (f->len && f->cmd != SMUX_UPD && f->cmd != SMUX_PSH)
		return "a smux SYN, FIN or NOP with a payload";
	return NULL;
}

ssize_t
smux_decode(const void *buf, size_t len, unsigned version, struct smux_frame *f, const char **why)
{
	const uint8_t *p = buf;
	const char *fault;

	if (len < SMUX_HEADER_LEN)
		return 0;
	*f = (struct smux_frame){
		.version = p[0],
		.cmd = p[1],
		.len = (uint16_t)(p[2] | p[3] << 8),
		.stream = get32_le(p + 4),
	};
	fault = find_fault(f, version);
	return fault ? wire_malformed(why, fault) : SMUX_HEADER_LEN;
}

void
smux_encode(const struct smux_frame *f, uint8_t out[SMUX_HEADER_LEN])
{
	out[0] = f->version;
	out[1] = f->cmd;
	out[2] = (uint8_t)f->len;
	out[3] = (uint8_t)(f->len >> 8);
	put32_le(out + 4, f->stream);
}

struct smux_upd
smux_decode_upd(const uint8_t payload[SMUX_UPD_LEN])
{
	return (struct smux_upd){
		.consumed = get32_le(payload), .window = get32_le(payload + 4),
	};
}

void
smux_encode_upd(const struct smux_upd *u, uint8_t out[SMUX_UPD_LEN])
{
	put32_le(out, u->consumed);
	put32_le(out + 4, u->window);
}
