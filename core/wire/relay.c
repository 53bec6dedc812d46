#include "core/wire/relay.h"

#include <errno.h>
#include <string.h>

#include "core/wire/bytes.h"

enum relay_feature {
	FEATURE_USERAUTH = 1,
	FEATURE_ADDR = 2,
	FEATURE_TUNNEL = 3,
	FEATURE_NETWORK = 4,
	FEATURE_METADATA = 5,
};

static int
read_text(struct wire_reader *r, char out[256], uint8_t *len)
{
	uint8_t n = wire_get8(r);
	const uint8_t *p = wire_take(r, n);

	if (!p || r->bad || memchr(p, 0, n))
		return -EBADMSG;
	memcpy(out, p, n);
	out[n] = 0;
	*len = n;
	return 0;
}

static int
read_auth(struct wire_reader *r, struct relay_msg *m, const char **why)
{
	struct relay_auth *a = &m->auth;

	if (read_text(r, a->user, &a->user_len) || read_text(r, a->pass, &a->pass_len))
		return wire_malformed(why, "USERAUTH too short or with a NUL");
	m->has_auth = true;
	return 0;
}

/* x 0.10.4 and later send "0.0.0.0::7005", port 0, for a listen address without a host. */
static void
mend_wildcard(struct wire_addr *a)
{
	static const char prefix[] = "0.0.0.0::";
	struct wire_addr fixed;

	if (a->type != WIRE_ADDR_NAME || a->port || a->len < sizeof(prefix)
		|| memcmp(a->name, prefix, sizeof(prefix) - 1))
		return;
	/* From its last colon on it is what the text should have been: ":PORT". */
	if (wire_addr_parse(a->name + sizeof(prefix) - 2, a->len - sizeof(prefix) + 2, &fixed))
		return;
	*a = (struct wire_addr){ .type = WIRE_ADDR_IPV4, .port = fixed.port };
}

static int
read_addr(struct wire_reader *r, struct relay_msg *m, const char **why)
{
	struct wire_addr a;

	if (wire_addr_read(r, &a))
		return wire_malformed(why, "ADDR too short, of unknown type or with a NUL");
	mend_wildcard(&a);
	m->addr[m->n_addr < RELAY_ADDRS ? m->n_addr : RELAY_ADDRS - 1] = a;
	m->n_addr++;
	return 0;
}

static int
read_tunnel(struct wire_reader *r, struct relay_msg *m, const char **why)
{
	const uint8_t *p = wire_take(r, 20), *client;

	if (!p)
		return wire_malformed(why, "TUNNEL shorter than 20 bytes");
	client = r->left >= sizeof(m->tunnel.client) ?
		 wire_take(r, sizeof(m->tunnel.client)) : NULL;
	memcpy(m->tunnel.id.b, p, sizeof(m->tunnel.id.b));
	m->tunnel.flags = p[16];
	m->tunnel.hints = p[17];
	m->tunnel.sessions = p[18];
	m->tunnel.weight = p[19];
	m->tunnel.has_client = client != NULL;
	if (client)
		memcpy(m->tunnel.client.b, client, sizeof(m->tunnel.client.b));
	m->has_tunnel = true;
	return 0;
}

static int
read_network(struct wire_reader *r, struct relay_msg *m, const char **why)
{
	m->network = wire_get16(r);
	if (r->bad)
		return wire_malformed(why, "NETWORK shorter than 2 bytes");
	m->has_network = true;
	return 0;
}

/* Text with a length of two bytes, of which what fits in one is kept. */
static const char *
read_long_text(struct wire_reader *r, uint8_t *len)
{
	uint16_t n = wire_get16(r);

	*len = n < UINT8_MAX ? (uint8_t)n : UINT8_MAX;
	return (const char *)wire_take(r, n);
}

static int
read_metadata(struct wire_reader *r, struct relay_msg *m, const char **why)
{
	unsigned n = wire_get16(r);

	m->n_pair = 0;
	for (unsigned i = 0; i < n && i < RELAY_PAIRS; i++) {
		struct relay_pair *pair = &m->pair[i];

		pair->key = read_long_text(r, &pair->key_len);
		pair->value = read_long_text(r, &pair->value_len);
		if (r->bad)
			break;
		m->n_pair++;
	}
	return r->bad ? wire_malformed(why, "METADATA runs past its length") : 0;
}

static int
read_feature(uint8_t type, struct wire_reader *r, struct relay_msg *m, const char **why)
{
	switch (type) {
	case FEATURE_USERAUTH:
		return read_auth(r, m, why);
	case FEATURE_ADDR:
		return read_addr(r, m, why);
	case FEATURE_TUNNEL:
		return read_tunnel(r, m, why);
	case FEATURE_NETWORK:
		return read_network(r, m, why);
	case FEATURE_METADATA:
		return read_metadata(r, m, why);
	default:
		return 0;
	}
}

size_t
relay_need(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return RELAY_HEADER + (len < RELAY_HEADER ? 0u : (size_t)(p[2] << 8 | p[3]));
}

ssize_t
relay_decode(const void *buf, size_t len, struct relay_msg *m, const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };
	size_t size = relay_need(buf, len);

	if (len && *r.p != RELAY_VERSION)
		return wire_malformed(why, "not version 1 of the relay protocol");
	if (len < size)
		return 0;
	memset(m, 0, sizeof(*m));
	m->code = r.p[1];
	r.p += RELAY_HEADER;
	r.left = size - RELAY_HEADER;
	while (r.left) {
		uint8_t type = wire_get8(&r);
		uint16_t n = wire_get16(&r);
		struct wire_reader feature = wire_sub(&r, n);
		int ret;

		if (r.bad)
			return wire_malformed(why, "a feature runs past the message");
		ret = read_feature(type, &feature, m, why);
		if (ret)
			return ret;
	}
	return (ssize_t)size;
}

/* Returns where the length is to be patched in by end_feature(). */
static size_t
begin_feature(struct wire_writer *w, enum relay_feature type)
{
	wire_put8(w, type);
	wire_put16(w, 0);
	return w->len;
}

static void
patch16(struct wire_writer *w, size_t at, size_t value)
{
	struct wire_writer patch = { .p = w->p, .cap = w->cap, .len = at };

	w->bad |= value > UINT16_MAX;
	wire_put16(&patch, (unsigned)value);
}

static void
end_feature(struct wire_writer *w, size_t begin)
{
	patch16(w, begin - 2, w->len - begin);
}

static void
write_network(struct wire_writer *w, const struct relay_msg *m)
{
	size_t begin = begin_feature(w, FEATURE_NETWORK);

	wire_put16(w, m->network);
	end_feature(w, begin);
}

static void
write_auth(struct wire_writer *w, const struct relay_auth *a)
{
	size_t begin = begin_feature(w, FEATURE_USERAUTH);

	wire_put8(w, a->user_len);
	wire_put(w, a->user, a->user_len);
	wire_put8(w, a->pass_len);
	wire_put(w, a->pass, a->pass_len);
	end_feature(w, begin);
}

static void
write_addr(struct wire_writer *w, const struct wire_addr *a)
{
	size_t begin = begin_feature(w, FEATURE_ADDR);

	wire_addr_write(w, a);
	end_feature(w, begin);
}

static void
write_tunnel(struct wire_writer *w, const struct relay_tunnel *t)
{
	size_t begin = begin_feature(w, FEATURE_TUNNEL);

	wire_put(w, t->id.b, sizeof(t->id.b));
	wire_put8(w, t->flags);
	wire_put8(w, t->hints);
	wire_put8(w, t->sessions);
	wire_put8(w, t->weight);
	if (t->has_client)
		wire_put(w, t->client.b, sizeof(t->client.b));
	end_feature(w, begin);
}

static void
write_metadata(struct wire_writer *w, const struct relay_msg *m)
{
	size_t begin = begin_feature(w, FEATURE_METADATA);

	w->bad |= m->n_pair > RELAY_PAIRS;
	wire_put16(w, m->n_pair);
	for (unsigned i = 0; i < m->n_pair && i < RELAY_PAIRS; i++) {
		const struct relay_pair *pair = &m->pair[i];

		wire_put16(w, pair->key_len);
		wire_put(w, pair->key, pair->key_len);
		wire_put16(w, pair->value_len);
		wire_put(w, pair->value, pair->value_len);
	}
	end_feature(w, begin);
}

static void
write_msg(struct wire_writer *w, const struct relay_msg *m)
{
	wire_put8(w, RELAY_VERSION);
	wire_put8(w, m->code);
	wire_put16(w, 0);
	if (m->has_network)
		write_network(w, m);
	if (m->has_auth)
		write_auth(w, &m->auth);
	for (unsigned i = 0; i < m->n_addr && i < RELAY_ADDRS; i++)
		write_addr(w, &m->addr[i]);
	if (m->has_tunnel)
		write_tunnel(w, &m->tunnel);
	if (m->n_pair)
		write_metadata(w, m);
	patch16(w, 2, w->len - RELAY_HEADER);
	w->bad |= m->n_addr > RELAY_ADDRS;
}

ssize_t
relay_encode(const struct relay_msg *m, void *buf, size_t cap)
{
	struct wire_writer w = { .p = buf, .cap = cap };

	write_msg(&w, m);
	if (w.bad)
		return -EINVAL;
	return w.len > cap ? -ENOSPC : (ssize_t)w.len;
}

ssize_t
relay_size(const struct relay_msg *m)
{
	struct wire_writer w = { .cap = 0 };

	write_msg(&w, m);
	return w.bad ? -EINVAL : (ssize_t)w.len;
}

enum relay_network
relay_msg_network(const struct relay_msg *m)
{
	switch (m->network) {
	case RELAY_NET_UDP:
	case RELAY_NET_IP:
	case RELAY_NET_UNIX:
	case RELAY_NET_SERIAL:
		return (enum relay_network)m->network;
	default:
		return RELAY_NET_TCP;
	}
}

const struct relay_pair *
relay_msg_pair(const struct relay_msg *m, const char *key)
{
	size_t len = strlen(key);

	for (unsigned i = 0; i < m->n_pair; i++)
		if (m->pair[i].key_len == len && !memcmp(m->pair[i].key, key, len))
			return &m->pair[i];
	return NULL;
}

int
relay_set_auth(struct relay_msg *m, const char *user, const char *password)
{
	if (strlen(user) > 255 || strlen(password) > 255)
		return -EINVAL;
	m->has_auth = true;
	m->auth.user_len = (uint8_t)strlen(user);
	m->auth.pass_len = (uint8_t)strlen(password);
	memcpy(m->auth.user, user, m->auth.user_len);
	memcpy(m->auth.pass, password, m->auth.pass_len);
	return 0;
}

const char *
relay_status_text(unsigned status)
{
	static const char *const texts[] = {
		[RELAY_OK] = "ok",
		[RELAY_BAD_REQUEST] = "bad request",
		[RELAY_UNAUTHORIZED] = "unauthorized",
		[RELAY_FORBIDDEN] = "forbidden",
		[RELAY_TIMEOUT] = "timeout",
		[RELAY_SERVICE_UNAVAILABLE] = "service unavailable",
		[RELAY_HOST_UNREACHABLE] = "host unreachable",
		[RELAY_NETWORK_UNREACHABLE] = "network unreachable",
		[RELAY_INTERNAL_ERROR] = "internal server error",
	};

	return status < sizeof(texts) / sizeof(*texts) ? texts[status] : "unknown status";
}
