#include "core/wire/native.h"

#include <string.h>

#include "core/wire/bytes.h"
#include "core/wire/varint.h"

#define FAMILY_V4 6		/* bytes of an address with its port */
#define FAMILY_V6 18

static uint64_t
native_get_varint(struct wire_reader *r)
{
	uint64_t value = 0;
	size_t n = varint_read(r->p, r->left, &value);

	if (!n)
		r->bad = true;
	else
		wire_take(r, n);
	return value;
}

static void
native_put_varint(struct wire_writer *w, uint64_t value)
{
	uint8_t bytes[VARINT_MAX_LEN];

	if (value > VARINT_MAX) {
		w->bad = true;
		return;
	}
	wire_put(w, bytes, varint_write(bytes, value));
}

/* The head of a message: its length in *n and what follows in *body; 0: not all there. */
static size_t
native_head(const uint8_t *p, size_t len, uint64_t *type, uint64_t *body)
{
	size_t a = varint_read(p, len, type), b = a ? varint_read(p + a, len - a, body) : 0;

	return b ? a + b : 0;
}

size_t
native_need(const void *buf, size_t len)
{
	uint64_t type, body;
	size_t head = native_head(buf, len, &type, &body);

	if (!head)
		return len + 1;
	return body > NATIVE_BODY_MAX ? head : head + (size_t)body;
}

/* ---- fields ------------------------------------------------------------------------ */

enum native_kind { NUMBER, NUMBER8, NUMBER16, TEXT, ID, FROM };

#define AT(f) offsetof(struct native_msg, f)
static const struct {
	enum native_kind	kind;
	size_t			offset;
} rows[NATIVE_FIELDS] = {
	[NATIVE_F_VERSION] = { NUMBER, AT(version) },
	[NATIVE_F_TUNNEL] = { ID, AT(tunnel) },
	[NATIVE_F_CONNECTOR] = { ID, AT(connector) },
	[NATIVE_F_BIND] = { NUMBER, AT(bind) },
	[NATIVE_F_NETWORK] = { NUMBER8, AT(network) },
	[NATIVE_F_WEIGHT] = { NUMBER8, AT(weight) },
	[NATIVE_F_FLAGS] = { NUMBER, AT(flags) },
	[NATIVE_F_USER] = { TEXT, AT(user) },
	[NATIVE_F_PASSWORD] = { TEXT, AT(password) },
	[NATIVE_F_HOST] = { TEXT, AT(host) },
	[NATIVE_F_PORT] = { NUMBER16, AT(port) },
	[NATIVE_F_FROM] = { FROM, AT(from) },
	[NATIVE_F_STATUS] = { NUMBER, AT(status) },
	[NATIVE_F_TEXT] = { TEXT, AT(text) },
	[NATIVE_F_CONNECTIONS] = { NUMBER, AT(connections) },
	[NATIVE_F_FLOW] = { NUMBER, AT(flow) },
	[NATIVE_F_STREAMS] = { NUMBER, AT(streams) },
};

static const char *
native_read_text(struct wire_reader *v, char *out)
{
	size_t len = v->left;

	if (len > NATIVE_TEXT_MAX)
		return "a text is too long";
	if (len && memchr(v->p, 0, len))
		return "a text has a NUL";
	if (len)
		memcpy(out, wire_take(v, len), len);
	out[len] = 0;
	return NULL;
}

static const char *
native_read_from(struct wire_reader *v, struct wire_addr *a)
{
	size_t len = v->left;

	if (len != FAMILY_V4 && len != FAMILY_V6)
		return "an address is of no family";
	*a = (struct wire_addr){ .type = len == FAMILY_V4 ? WIRE_ADDR_IPV4 : WIRE_ADDR_IPV6 };
	memcpy(a->ip, wire_take(v, len - 2), len - 2);
	a->port = wire_get16(v);
	return NULL;
}

static const char *
native_read_number(struct wire_reader *v, enum native_kind kind, void *out)
{
	uint64_t value = native_get_varint(v);

	if (v->bad || v->left)
		return "a number does not fill its field";
	if ((kind == NUMBER8 && value > UINT8_MAX) || (kind == NUMBER16 && value > UINT16_MAX))
		return "a number is too large";
	if (kind == NUMBER8)
		*(uint8_t *)out = (uint8_t)value;
	else if (kind == NUMBER16)
		*(uint16_t *)out = (uint16_t)value;
	else
		*(uint64_t *)out = value;
	return NULL;
}

static const char *
native_read_value(struct wire_reader *v, uint64_t name, struct native_msg *m)
{
	void *out = (char *)m + rows[name].offset;

	switch (rows[name].kind) {
	case TEXT:
		return native_read_text(v, out);
	case FROM:
		return native_read_from(v, out);
	case ID:
		if (v->left != sizeof(struct adit_uuid))
			return "an id is not of 16 bytes";
		memcpy(out, wire_take(v, sizeof(struct adit_uuid)), sizeof(struct adit_uuid));
		return NULL;
	default:
		return native_read_number(v, rows[name].kind, out);
	}
}

static const char *
native_read_field(struct wire_reader *r, struct native_msg *m)
{
	uint64_t name = native_get_varint(r), len = native_get_varint(r);
	struct wire_reader v;

	if (r->bad || len > r->left)
		return "a field leaves its message";
	v = wire_sub(r, (size_t)len);
	if (name >= NATIVE_FIELDS)
		return NULL;
	if (native_has(m, (enum native_field)name))
		return "a field comes twice";
	m->has |= (uint32_t)1 << name;
	return native_read_value(&v, name, m);
}

ssize_t
native_decode(const void *buf, size_t len, struct native_msg *m, const char **why)
{
	uint64_t type = 0, body = 0;
	size_t head = native_head(buf, len, &type, &body);
	struct wire_reader r;
	const char *wrong = NULL;

	if (!head)
		return 0;
	if (body > NATIVE_BODY_MAX)
		return wire_malformed(why, "a message is too long");
	if (len - head < body)
		return 0;
	r = (struct wire_reader){ .p = (const uint8_t *)buf + head, .left = (size_t)body };
	memset(m, 0, sizeof(*m));
	m->type = type;
	while (r.left && !wrong)
		wrong = native_read_field(&r, m);
	if (wrong)
		return wire_malformed(why, wrong);
	return (ssize_t)(head + body);
}

/* ---- encoding ------------------------------------------------------------------------ */

static void
native_put_field(struct wire_writer *w, uint64_t name, const void *value, size_t len)
{
	native_put_varint(w, name);
	native_put_varint(w, len);
	wire_put(w, value, len);
}

static void
native_put_number(struct wire_writer *w, uint64_t name, uint64_t value)
{
	native_put_varint(w, name);
	native_put_varint(w, varint_size(value));
	native_put_varint(w, value);
}

static void
native_put_from(struct wire_writer *w, const struct wire_addr *a)
{
	size_t len = a->type == WIRE_ADDR_IPV4 ? 4 : 16;

	if (a->type != WIRE_ADDR_IPV4 && a->type != WIRE_ADDR_IPV6) {
		w->bad = true;
		return;
	}
	native_put_varint(w, NATIVE_F_FROM);
	native_put_varint(w, len + 2);
	wire_put(w, a->ip, len);
	wire_put16(w, a->port);
}

static void
native_put_value(struct wire_writer *w, uint64_t name, const struct native_msg *m)
{
	const void *value = (const char *)m + rows[name].offset;

	switch (rows[name].kind) {
	case NUMBER:
		native_put_number(w, name, *(const uint64_t *)value);
		break;
	case NUMBER8:
		native_put_number(w, name, *(const uint8_t *)value);
		break;
	case NUMBER16:
		native_put_number(w, name, *(const uint16_t *)value);
		break;
	case TEXT:
		native_put_field(w, name, value, strlen(value));
		break;
	case ID:
		native_put_field(w, name, value, sizeof(struct adit_uuid));
		break;
	case FROM:
		native_put_from(w, value);
		break;
	}
}

ssize_t
native_encode(const struct native_msg *m, void *buf, size_t cap)
{
	uint8_t body[NATIVE_BODY_MAX];
	struct wire_writer fields = { .p = body, .cap = sizeof(body) };
	struct wire_writer w = { .p = buf, .cap = cap };

	for (uint64_t name = 0; name < NATIVE_FIELDS; name++)
		if (native_has(m, (enum native_field)name))
			native_put_value(&fields, name, m);
	if (fields.bad || fields.len > sizeof(body))
		return -EINVAL;
	native_put_varint(&w, m->type);
	native_put_varint(&w, fields.len);
	wire_put(&w, body, fields.len);
	explicit_bzero(body, fields.len);
	if (w.bad)
		return -EINVAL;
	return w.len > cap ? -ENOSPC : (ssize_t)w.len;
}

bool
native_set_text(struct native_msg *m, enum native_field f, const char *text)
{
	size_t len = strlen(text);

	if (rows[f].kind != TEXT || len > NATIVE_TEXT_MAX)
		return false;
	memcpy((char *)m + rows[f].offset, text, len + 1);
	m->has |= (uint32_t)1 << f;
	return true;
}

const char *
native_status_text(uint64_t status)
{
	static const char *const texts[] = {
		[NATIVE_OK] = "ok",
		[NATIVE_BAD_REQUEST] = "bad request",
		[NATIVE_UNAUTHORIZED] = "unauthorized",
		[NATIVE_FORBIDDEN] = "forbidden",
		[NATIVE_NOT_FOUND] = "not found",
		[NATIVE_UNAVAILABLE] = "unavailable",
		[NATIVE_UNREACHABLE] = "target unreachable",
		[NATIVE_TIMEOUT] = "timeout",
		[NATIVE_DRAINING] = "draining",
		[NATIVE_LIMIT] = "limit reached",
		[NATIVE_UNSUPPORTED] = "unsupported",
		[NATIVE_INTERNAL] = "internal error",
		[NATIVE_RESET] = "reset",
		[NATIVE_CANCELLED] = "cancelled",
		[NATIVE_STOPPED] = "stopped",
	};

	if (status < sizeof(texts) / sizeof(*texts) && texts[status])
		return texts[status];
	return "unknown status";
}
