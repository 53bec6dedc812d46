#include "core/wire/clienthello.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/wire/bytes.h"

enum {
	RECORD_HEADER = 5,
	RECORD_MAX = 16384,		/* RFC 8446, 5.1 */
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	HANDSHAKE_HEADER = 4,
	HANDSHAKE_CLIENT_HELLO = 1,
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_ALPN = 16,
	EXTENSION_VERSIONS = 43,
	NAME_TYPE_HOST = 0,
	ALERT_WARNING = 1,
	ALERT_FATAL = 2,
};

/* The handshake message, taken out of the records it came in. */
struct handshake {
	uint8_t	bytes[CLIENTHELLO_MAX];
	size_t	len;
};

static enum clienthello_result
malformed(struct clienthello *h, const char *why)
{
	h->why = why;
	return CLIENTHELLO_MALFORMED;
}

static enum clienthello_result
more(struct clienthello *h, size_t need)
{
	if (need > CLIENTHELLO_MAX)
		return malformed(h, "ClientHello longer than 16 KiB");
	h->need = need;
	return CLIENTHELLO_MORE;
}

/* How long the handshake message is, with its header, as far as known. */
static size_t
handshake_size(const struct handshake *hs)
{
	if (hs->len < HANDSHAKE_HEADER)
		return HANDSHAKE_HEADER;
	return HANDSHAKE_HEADER
		+ ((size_t)hs->bytes[1] << 16 | (size_t)hs->bytes[2] << 8 | hs->bytes[3]);
}

/* The header of the record at r, which may be cut. FOUND: all of it is there and it is sound. */
static enum clienthello_result
check_record(const struct wire_reader *r, bool first, struct clienthello *h)
{
	const uint8_t *p = r->p;

	if (r->left > 0 && p[0] != RECORD_HANDSHAKE)
		return first ? CLIENTHELLO_NOT_TLS : malformed(h, "a record of another kind");
	/* The minor version means nothing (RFC 8446, 5.1); SSL 3.0 to TLS 1.3 have major 3. */
	if (r->left > 1 && p[1] != 3)
		return first ? CLIENTHELLO_NOT_TLS : malformed(h, "a record of another version");
	if (r->left < RECORD_HEADER)
		return CLIENTHELLO_MORE;
	if (!p[3] && !p[4])
		return malformed(h, "an empty handshake record");
	if ((p[3] << 8 | p[4]) > RECORD_MAX)
		return malformed(h, "a record longer than 16 KiB");
	return CLIENTHELLO_FOUND;
}

/* Appends up to n bytes of r to hs; a record is taken as far as it is there. */
static void
gather_fragment(struct wire_reader *r, size_t n, struct handshake *hs)
{
	if (n > r->left)
		n = r->left;
	memcpy(hs->bytes + hs->len, r->p, n);	/* r is no longer than hs->bytes */
	hs->len += n;
	r->p += n;
	r->left -= n;
}

/* Gathers the handshake message from its records. FOUND: it is complete. */
static enum clienthello_result
gather(struct wire_reader *r, struct handshake *hs, struct clienthello *h)
{
	size_t total = r->left;

	hs->len = 0;
	for (;;) {
		bool first = r->left == total;
		enum clienthello_result ret = check_record(r, first, h);
		size_t missing, n;

		if (ret == CLIENTHELLO_MORE)
			return more(h, total - r->left + RECORD_HEADER);
		if (ret != CLIENTHELLO_FOUND)
			return ret;
		n = (size_t)(r->p[3] << 8 | r->p[4]);
		wire_take(r, RECORD_HEADER);
		missing = n > r->left ? n - r->left : 0;
		gather_fragment(r, n, hs);
		if (hs->len && hs->bytes[0] != HANDSHAKE_CLIENT_HELLO)
			return CLIENTHELLO_NOT_TLS;
		if (hs->len >= HANDSHAKE_HEADER && handshake_size(hs) > sizeof(hs->bytes))
			return malformed(h, "ClientHello longer than 16 KiB");
		if (hs->len >= handshake_size(hs))
			return CLIENTHELLO_FOUND;
		if (missing) {
			size_t rest = handshake_size(hs) - hs->len;

			return more(h, total + (rest < missing ? rest : missing));
		}
	}
}

/* Keeps what name says; an address in digits is no host name (RFC 6066, 3), so as good as none. */
static const char *
read_host_name(struct wire_reader *name, struct clienthello *h)
{
	struct in_addr ip;

	if (hostname_normalise((const char *)name->p, name->left, h->name) < 0)
		return "server_name that is no host name";
	if (inet_pton(AF_INET, h->name, &ip) == 1)
		*h->name = 0;
	return NULL;
}

static const char *
read_server_name(struct wire_reader *ext, struct clienthello *h)
{
	size_t n = wire_get16(ext);
	struct wire_reader list = wire_sub(ext, n);
	bool seen = false;

	if (list.bad || ext->left || !list.left)
		return "server_name of wrong length";
	while (list.left) {
		uint8_t type = wire_get8(&list);
		size_t len = wire_get16(&list);
		struct wire_reader name = wire_sub(&list, len);
		const char *why;

		if (list.bad)
			return "server_name of wrong length";
		if (type != NAME_TYPE_HOST)
			continue;
		if (seen)
			return "two host names in server_name";
		seen = true;
		why = read_host_name(&name, h);
		if (why)
			return why;
	}
	return NULL;
}

static const char *
read_alpn(struct wire_reader *ext, struct clienthello *h)
{
	size_t n = wire_get16(ext);
	struct wire_reader list = wire_sub(ext, n);

	if (list.bad || ext->left || !list.left)
		return "ALPN of wrong length";
	while (list.left) {
		const uint8_t *entry = list.p;
		uint8_t len = wire_get8(&list);

		if (!len || !wire_take(&list, len))
			return "ALPN with an empty or cut protocol";
		if (h->alpn_len + 1u + len > sizeof(h->alpn))
			continue;
		memcpy(h->alpn + h->alpn_len, entry, 1u + len);
		h->alpn_len = (uint16_t)(h->alpn_len + 1u + len);
	}
	return NULL;
}

static const char *
read_versions(struct wire_reader *ext, struct clienthello *h)
{
	uint8_t n = wire_get8(ext);
	struct wire_reader list = wire_sub(ext, n);

	if (list.bad || ext->left || !n || n % 2)
		return "supported_versions of wrong length";
	h->n_version = 0;		/* legacy_version does not count then */
	while (list.left && h->n_version < CLIENTHELLO_VERSIONS)
		h->version[h->n_version++] = wire_get16(&list);
	return NULL;
}

static const char *
read_extensions(struct wire_reader *r, struct clienthello *h)
{
	static const struct {
		uint16_t	 type;
		const char	*(*read)(struct wire_reader *ext, struct clienthello *h);
	} known[] = {
		{ EXTENSION_SERVER_NAME, read_server_name },
		{ EXTENSION_ALPN, read_alpn },
		{ EXTENSION_VERSIONS, read_versions },
	};
	bool seen[sizeof(known) / sizeof(*known)] = { false };

	while (r->left) {
		uint16_t type = wire_get16(r);
		size_t n = wire_get16(r);
		struct wire_reader ext = wire_sub(r, n);

		if (r->bad)
			return "an extension runs past ClientHello";
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
			const char *why;

			if (known[i].type != type)
				continue;
			if (seen[i])	/* RFC 8446, 4.2 */
				return "the same extension twice";
			seen[i] = true;
			why = known[i].read(&ext, h);
			if (why)
				return why;
		}
	}
	return NULL;
}

/* Reads the body of the handshake message. Returns what is wrong with it, or NULL. */
static const char *
read_hello(struct wire_reader *r, struct clienthello *h)
{
	struct wire_reader sessions, suites, compressions;

	h->version[0] = wire_get16(r);
	h->n_version = 1;
	wire_take(r, 32);			/* random */
	sessions = wire_sub(r, wire_get8(r));
	suites = wire_sub(r, wire_get16(r));
	compressions = wire_sub(r, wire_get8(r));
	if (r->bad || sessions.left > 32 || !suites.left || suites.left % 2 || !compressions.left)
		return "ClientHello of wrong length";
	if (!r->left)				/* extensions are optional up to TLS 1.2 */
		return NULL;
	if (wire_get16(r) != r->left || r->bad)
		return "extensions of wrong length";
	return read_extensions(r, h);
}

enum clienthello_result
clienthello_parse(const void *buf, size_t len, struct clienthello *h)
{
	struct wire_reader r = { .p = buf, .left = len < CLIENTHELLO_MAX ? len : CLIENTHELLO_MAX };
	const uint8_t *begin = buf;
	struct wire_reader body;
	struct handshake hs;
	enum clienthello_result ret;
	const char *why;

	memset(h, 0, sizeof(*h));
	ret = gather(&r, &hs, h);
	if (ret != CLIENTHELLO_FOUND)
		return ret;
	body = (struct wire_reader){
		.p = hs.bytes + HANDSHAKE_HEADER, .left = handshake_size(&hs) - HANDSHAKE_HEADER,
	};
	why = read_hello(&body, h);
	if (why)
		return malformed(h, why);
	h->len = (size_t)(r.p - begin);
	return *h->name ? CLIENTHELLO_FOUND : CLIENTHELLO_NO_NAME;
}

bool
clienthello_offers(const struct clienthello *h, const char *protocol)
{
	struct wire_reader r = { .p = h->alpn, .left = h->alpn_len };
	size_t len = strlen(protocol);

	while (r.left) {
		uint8_t n = wire_get8(&r);
		const uint8_t *p = wire_take(&r, n);

		if (p && n == len && !memcmp(p, protocol, len))
			return true;
	}
	return false;
}

void
clienthello_alert(enum tls_alert alert, uint8_t out[CLIENTHELLO_ALERT_LEN])
{
	bool closes = alert == TLS_ALERT_CLOSE_NOTIFY || alert == TLS_ALERT_USER_CANCELED;
	const uint8_t record[CLIENTHELLO_ALERT_LEN] = {
		RECORD_ALERT, 3, 3, 0, 2, closes ? ALERT_WARNING : ALERT_FATAL, (uint8_t)alert,
	};

	memcpy(out, record, sizeof(record));
}
