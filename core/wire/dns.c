#include "core/wire/dns.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
	HEADER_LEN = 12,
	NAME_MAX_LEN = 255,		/* RFC 1035, 2.3.4: on the wire, with the root */
	LABEL_MAX = 63,
	TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, TYPE_OPT = 41,
	CLASS_IN = 1,
	OPTION_SUBNET = 8,
	FLAG_RESPONSE = 0x8000, FLAG_TRUNCATED = 0x0200, FLAG_RECURSE = 0x0100,
	MASK_OPCODE = 0x7800, MASK_RCODE = 0x000f,
	CNAMES_MAX = 16,		/* one after another */
};

static void
put16(uint8_t *at, unsigned n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static unsigned
get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static uint32_t
get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* ---- asking ------------------------------------------------------------------------------ */

/* Labels in lower case, as names are compared. The length, or -EINVAL. */
static ssize_t
name_encode(const char *name, uint8_t out[NAME_MAX_LEN])
{
	size_t at = 0, len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	if (!len || len > NAME_MAX_LEN - 2)
		return -EINVAL;
	while (len) {
		const char *dot = memchr(name, '.', len);
		size_t label = dot ? (size_t)(dot - name) : len;

		if (!label || label > LABEL_MAX)
			return -EINVAL;
		out[at++] = (uint8_t)label;
		for (size_t i = 0; i < label; i++)
			out[at++] = (uint8_t)tolower((unsigned char)name[i]);
		name += label + (dot != NULL);
		len -= label + (dot != NULL);
		if (dot && !len)
			return -EINVAL;		/* two dots at the end */
	}
	out[at++] = 0;
	return (ssize_t)at;
}

/* RFC 7871, 6: the bits that count, and no more bytes than these need. */
static size_t
subnet_encode(const struct dns_subnet *s, uint8_t *out)
{
	size_t len = (s->bits + 7u) / 8;

	put16(out, OPTION_SUBNET);
	put16(out + 2, (unsigned)(4 + len));
	put16(out + 4, s->ip6 ? 2 : 1);
	out[6] = s->bits;
	out[7] = 0;
	memcpy(out + 8, s->ip, len);
	if (s->bits % 8)
		out[8 + len - 1] &= (uint8_t)(0xff00u >> s->bits % 8);
	return 8 + len;
}

ssize_t
dns_ask(const struct dns_question *q, uint8_t out[DNS_QUESTION_MAX])
{
	static const uint8_t head[HEADER_LEN] = {
		[2] = FLAG_RECURSE >> 8, [5] = 1, [11] = 1,
	};
	ssize_t name = name_encode(q->name, out + HEADER_LEN);
	uint8_t *at = out + HEADER_LEN + name;
	size_t option = 0;

	if (name < 0)
		return name;
	memcpy(out, head, sizeof(head));
	put16(out, q->id);
	put16(at, q->ip6 ? TYPE_AAAA : TYPE_A);
	put16(at + 2, CLASS_IN);
	at += 4;
	memset(at, 0, 11);		/* the root's OPT record */
	put16(at + 1, TYPE_OPT);
	put16(at + 3, DNS_UDP_MAX);
	if (q->subnet.bits)
		option = subnet_encode(&q->subnet, at + 11);
	put16(at + 9, (unsigned)option);
	return at + 11 + option - out;
}

/* ---- answers ----------------------------------------------------------------------------- */

struct message {
	const uint8_t	*buf;
	size_t		 len;
};

/* A record of the answer. */
struct record {
	uint8_t		 owner[NAME_MAX_LEN];
	size_t		 owner_len;
	unsigned	 type, class_;
	uint32_t	 ttl;
	size_t		 at, len;	/* of its data */
};

/*
 * The name at *at, without compression, in lower case; *at is moved behind it. A pointer leads only
 * backwards (RFC 1035, 4.1.4: to a prior occurrence), so there is an end. Its length, or -EBADMSG.
 */
static ssize_t
name_read(const struct message *m, size_t *at, uint8_t out[NAME_MAX_LEN])
{
	size_t from = *at, limit = from, len = 0;
	bool moved = false;

	while (from < m->len) {
		uint8_t label = m->buf[from];

		if (label >= 0xc0) {
			if (from + 2 > m->len)
				return -EBADMSG;
			if (!moved)
				*at = from + 2;
			moved = true;
			from = get16(m->buf + from) & 0x3fff;
			if (from >= limit)
				return -EBADMSG;
			limit = from;
			continue;
		}
		if (label > LABEL_MAX || from + 1 + label > m->len ||
		    len + 1 + label > NAME_MAX_LEN)
			return -EBADMSG;
		out[len++] = label;
		for (size_t i = 0; i < label; i++)
			out[len++] = (uint8_t)tolower(m->buf[from + 1 + i]);
		from += 1u + label;
		if (!label) {
			if (!moved)
				*at = from;
			return (ssize_t)len;
		}
	}
	return -EBADMSG;
}

/* RFC 2181, 8: with the top bit set it is none, and a cache may have a limit of its own. */
static uint32_t
ttl_read(const uint8_t *at)
{
	uint32_t ttl = get32(at);

	if (ttl > INT32_MAX)
		return 0;
	return ttl < DNS_TTL_MAX ? ttl : DNS_TTL_MAX;
}

static int
record_read(const struct message *m, size_t *at, struct record *out)
{
	ssize_t n = name_read(m, at, out->owner);

	if (n < 0 || m->len - *at < 10)
		return -EBADMSG;
	out->owner_len = (size_t)n;
	out->type = get16(m->buf + *at);
	out->class_ = get16(m->buf + *at + 2);
	out->ttl = ttl_read(m->buf + *at + 4);
	out->len = get16(m->buf + *at + 8);
	out->at = *at + 10;
	if (m->len - out->at < out->len)
		return -EBADMSG;
	*at = out->at + out->len;
	return 0;
}

/* That it repeats the question; *at is moved behind it. */
static int
question_check(const struct dns_question *q, const struct message *m, size_t *at)
{
	uint8_t asked[NAME_MAX_LEN], repeated[NAME_MAX_LEN];
	ssize_t n = name_encode(q->name, asked), got;
	unsigned flags = get16(m->buf + 2);

	if (get16(m->buf) != q->id || !(flags & FLAG_RESPONSE) || flags & MASK_OPCODE ||
	    get16(m->buf + 4) != 1)
		return -EBADMSG;
	got = name_read(m, at, repeated);
	if (n < 0 || got != n || memcmp(asked, repeated, (size_t)n) != 0 || m->len - *at < 4 ||
	    get16(m->buf + *at) != (q->ip6 ? TYPE_AAAA : TYPE_A) ||
	    get16(m->buf + *at + 2) != CLASS_IN)
		return -EBADMSG;
	*at += 4;
	return 0;
}

static void
answer_add(struct dns_answer *out, const struct message *m, const struct record *r)
{
	if (out->n == DNS_ANSWERS)
		return;
	memset(out->ip[out->n], 0, 16);
	memcpy(out->ip[out->n++], m->buf + r->at, r->len);
}

/*
 * One look at all records of name: its addresses are added; where it is another's alias, name
 * becomes that one, and 1 is returned.
 */
static int
answer_look(const struct dns_question *q, const struct message *m, size_t at,
	    uint8_t name[NAME_MAX_LEN], size_t *name_len, struct dns_answer *out)
{
	unsigned type = q->ip6 ? TYPE_AAAA : TYPE_A, n = get16(m->buf + 6);
	size_t size = q->ip6 ? 16 : 4;
	struct record r;

	for (unsigned i = 0; i < n; i++) {
		size_t target;
		ssize_t len;

		if (record_read(m, &at, &r) < 0)
			return -EBADMSG;
		if (r.class_ != CLASS_IN || r.owner_len != *name_len ||
		    memcmp(r.owner, name, r.owner_len) != 0)
			continue;
		if (r.type != type && r.type != TYPE_CNAME)
			continue;
		if (r.ttl < out->ttl)
			out->ttl = r.ttl;
		if (r.type == type && r.len == size)
			answer_add(out, m, &r);
		if (r.type != TYPE_CNAME)
			continue;
		target = r.at;
		len = name_read(m, &target, name);
		if (len < 0)
			return -EBADMSG;
		*name_len = (size_t)len;
		return 1;
	}
	return 0;
}

int
dns_read(const struct dns_question *q, const uint8_t *buf, size_t len, struct dns_answer *out)
{
	const struct message m = { .buf = buf, .len = len };
	uint8_t name[NAME_MAX_LEN];
	size_t at = HEADER_LEN, name_len;
	ssize_t n;
	int more = 1;

	*out = (struct dns_answer){ .ttl = UINT32_MAX };
	if (len < HEADER_LEN || question_check(q, &m, &at) < 0)
		return -EBADMSG;
	out->rcode = get16(buf + 2) & MASK_RCODE;
	out->truncated = get16(buf + 2) & FLAG_TRUNCATED;
	n = name_encode(q->name, name);
	name_len = (size_t)n;
	for (int i = 0; more > 0 && !out->truncated && i < CNAMES_MAX; i++)
		more = answer_look(q, &m, at, name, &name_len, out);
	if (!out->n)
		out->ttl = 0;
	return more < 0 ? -EBADMSG : 0;
}
