#include "core/wire/socks.h"

#include "core/wire/bytes.h"

ssize_t
socks5_decode_greeting(const void *buf, size_t len, const uint8_t **methods, size_t *n,
		       const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };
	uint8_t version = wire_get8(&r);

	if (!r.bad && version != SOCKS5_VERSION)
		return wire_malformed(why, "not SOCKS 5");
	*n = wire_get8(&r);
	if (!r.bad && !*n)
		return wire_malformed(why, "no methods");
	*methods = wire_take(&r, *n);
	return r.bad ? 0 : (ssize_t)(len - r.left);
}

/* LEN(1) and that many bytes, terminated. 0, or -EBADMSG for a NUL among them. */
static int
read_text(struct wire_reader *r, char out[256], uint8_t *len)
{
	const uint8_t *p;

	*len = wire_get8(r);
	p = wire_take(r, *len);
	if (!p)
		return 0;
	if (memchr(p, 0, *len))
		return -EBADMSG;
	memcpy(out, p, *len);
	out[*len] = 0;
	return 0;
}

ssize_t
socks5_decode_auth(const void *buf, size_t len, struct socks_auth *a, const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };
	uint8_t version = wire_get8(&r);

	if (!r.bad && version != SOCKS5_AUTH_VERSION)
		return wire_malformed(why, "unknown version of credentials");
	if (read_text(&r, a->user, &a->user_len) < 0 ||
	    read_text(&r, a->password, &a->password_len) < 0)
		return wire_malformed(why, "credentials with a NUL");
	return r.bad ? 0 : (ssize_t)(len - r.left);
}

ssize_t
socks5_encode_auth(const char *user, const char *password, uint8_t out[SOCKS5_AUTH_MAX])
{
	struct wire_writer w = { .p = out, .cap = SOCKS5_AUTH_MAX };
	size_t user_len = strlen(user), password_len = strlen(password);

	if (user_len > 255 || password_len > 255)
		return -EINVAL;
	wire_put8(&w, SOCKS5_AUTH_VERSION);
	wire_put8(&w, (unsigned)user_len);
	wire_put(&w, user, user_len);
	wire_put8(&w, (unsigned)password_len);
	wire_put(&w, password, password_len);
	return (ssize_t)w.len;
}

ssize_t
socks5_decode_request(const void *buf, size_t len, struct socks_request *q, const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };
	uint8_t version = wire_get8(&r);
	int err;

	if (!r.bad && version != SOCKS5_VERSION)
		return wire_malformed(why, "not SOCKS 5");
	q->code = wire_get8(&r);
	wire_get8(&r);
	err = wire_addr_read(&r, &q->addr);
	if (err == -EBADMSG)
		return wire_malformed(why, "malformed address");
	return err || r.bad ? 0 : (ssize_t)(len - r.left);
}

size_t
socks5_encode_request(const struct socks_request *q, uint8_t out[SOCKS5_REQUEST_MAX])
{
	static const struct wire_addr nowhere = { .type = WIRE_ADDR_IPV4 };
	struct wire_writer w = { .p = out, .cap = SOCKS5_REQUEST_MAX };

	wire_put8(&w, SOCKS5_VERSION);
	wire_put8(&w, q->code);
	wire_put8(&w, 0);
	wire_addr_write(&w, q->addr.type == WIRE_ADDR_NONE ? &nowhere : &q->addr);
	return w.len;
}

int
socks5_decode_udp(const void *buf, size_t len, struct dgram *d, const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };

	wire_get16(&r);
	if (wire_get8(&r))
		return wire_malformed(why, "a fragment");
	if (wire_addr_read(&r, &d->addr) < 0 || r.bad)
		return wire_malformed(why, "malformed header");
	d->payload = r.p;
	d->len = r.left;
	return 0;
}

size_t
socks5_encode_udp_header(const struct wire_addr *addr, uint8_t out[SOCKS5_UDP_HEADER_MAX])
{
	struct wire_writer w = { .p = out, .cap = SOCKS5_UDP_HEADER_MAX };

	wire_put16(&w, 0);
	wire_put8(&w, 0);
	wire_addr_write(&w, addr);
	return w.len;
}

/* A text that ends with a NUL, of at most 255 bytes: NULL and bad if it is not all there. */
static const char *
read_ended(struct wire_reader *r, size_t *len)
{
	const char *text = (const char *)r->p;
	const uint8_t *end = r->left ? memchr(r->p, 0, r->left) : NULL;

	*len = end ? (size_t)(end - r->p) : r->left;
	if (!end) {
		r->bad = true;
		return NULL;
	}
	wire_take(r, *len + 1);
	return text;
}

/* 0.0.0.x, x not 0: a name follows (SOCKS 4a). */
static bool
stands_for_name(const uint8_t ip[4])
{
	return !ip[0] && !ip[1] && !ip[2] && ip[3];
}

ssize_t
socks4_decode_request(const void *buf, size_t len, struct socks_request *q, const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };
	uint8_t version = wire_get8(&r);
	const uint8_t *ip;
	const char *name;
	size_t n;

	if (!r.bad && version != SOCKS4_VERSION)
		return wire_malformed(why, "not SOCKS 4");
	q->code = wire_get8(&r);
	q->addr = (struct wire_addr){ .type = WIRE_ADDR_IPV4, .port = wire_get16(&r) };
	ip = wire_take(&r, 4);
	if (!ip)
		return 0;
	memcpy(q->addr.ip, ip, 4);
	read_ended(&r, &n);
	if (n > 255)
		return wire_malformed(why, "user too long");
	if (r.bad || !stands_for_name(ip))
		return r.bad ? 0 : (ssize_t)(len - r.left);
	name = read_ended(&r, &n);
	if (n > 255)
		return wire_malformed(why, "name too long");
	if (!name)
		return 0;
	q->addr.type = WIRE_ADDR_NAME;
	q->addr.len = (uint8_t)n;
	memcpy(q->addr.name, name, n + 1);
	return (ssize_t)(len - r.left);
}

ssize_t
socks4_encode_request(const struct socks_request *q, const char *user,
		      uint8_t out[SOCKS4_REQUEST_MAX])
{
	static const uint8_t stands_in[4] = { 0, 0, 0, 1 };
	struct wire_writer w = { .p = out, .cap = SOCKS4_REQUEST_MAX };
	bool name = q->addr.type == WIRE_ADDR_NAME;

	if (strlen(user) > 255 || (!name && q->addr.type != WIRE_ADDR_IPV4))
		return -EINVAL;
	wire_put8(&w, SOCKS4_VERSION);
	wire_put8(&w, q->code);
	wire_put16(&w, q->addr.port);
	wire_put(&w, name ? stands_in : q->addr.ip, 4);
	wire_put(&w, user, strlen(user) + 1);
	if (name)
		wire_put(&w, q->addr.name, q->addr.len + 1u);
	return (ssize_t)w.len;
}

void
socks4_encode_reply(const struct socks_request *q, uint8_t out[SOCKS4_REPLY_LEN])
{
	static const uint8_t nowhere[4];
	struct wire_writer w = { .p = out, .cap = SOCKS4_REPLY_LEN };

	wire_put8(&w, 0);
	wire_put8(&w, q->code);
	wire_put16(&w, q->addr.port);
	wire_put(&w, q->addr.type == WIRE_ADDR_IPV4 ? q->addr.ip : nowhere, 4);
}
