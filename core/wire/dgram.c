#include "core/wire/dgram.h"

#include "core/wire/bytes.h"

size_t
dgram_need(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return DGRAM_HEADER_LEN + (len < DGRAM_HEADER_LEN ? 0u : (size_t)(p[0] << 8 | p[1]));
}

ssize_t
dgram_decode(const void *buf, size_t len, struct dgram *d)
{
	size_t size = dgram_need(buf, len);

	if (len < size)
		return 0;
	*d = (struct dgram){
		.payload = (const uint8_t *)buf + DGRAM_HEADER_LEN,
		.len = size - DGRAM_HEADER_LEN,
	};
	return (ssize_t)size;
}

ssize_t
dgram_encode_header(size_t len, uint8_t out[DGRAM_HEADER_LEN])
{
	struct wire_writer w = { .p = out, .cap = DGRAM_HEADER_LEN };

	if (len > DGRAM_MAX)
		return -EMSGSIZE;
	wire_put16(&w, (unsigned)len);
	return (ssize_t)w.len;
}

ssize_t
udptun_decode_header(const void *buf, size_t len, size_t *payload, struct wire_addr *addr,
		     const char **why)
{
	struct wire_reader r = { .p = buf, .left = len };
	int ret;

	*payload = wire_get16(&r);
	wire_get8(&r);
	if (r.bad)
		return 0;
	ret = wire_addr_read(&r, addr);
	if (ret == -EAGAIN)
		return 0;
	if (ret)
		return wire_malformed(why, "udp-tun address of unknown type or with a NUL");
	return (ssize_t)(len - r.left);
}

ssize_t
udptun_decode(const void *buf, size_t len, struct dgram *d, const char **why)
{
	ssize_t n = udptun_decode_header(buf, len, &d->len, &d->addr, why);

	if (n <= 0 || len - (size_t)n < d->len)
		return n < 0 ? n : 0;
	d->payload = (const uint8_t *)buf + n;
	return n + (ssize_t)d->len;
}

ssize_t
udptun_encode_header(size_t len, const struct wire_addr *addr, uint8_t out[UDPTUN_HEADER_MAX])
{
	struct wire_writer w = { .p = out, .cap = UDPTUN_HEADER_MAX };

	if (!len || len > DGRAM_MAX)
		return -EMSGSIZE;
	wire_put16(&w, (unsigned)len);
	wire_put8(&w, 0xff);
	wire_addr_write(&w, addr);
	return w.bad ? -EINVAL : (ssize_t)w.len;
}
