#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "core/wire/bytes.h"
#include "core/wire/clienthello.h"

/* ---- a hello to take to pieces ---- */

struct sample {
	uint8_t	bytes[40000];
	size_t	len;
};

struct extension {
	unsigned	 type;
	const char	*body;
	size_t		 len;
};

#define EXT(type, body) { type, body, sizeof(body) - 1 }
#define SNI(name_len, list_len, name) "\0" list_len "\0\0" name_len name

static void
put_all(struct sample *s, const void *bytes, size_t n)
{
	assert_true(s->len + n <= sizeof(s->bytes));
	memcpy(s->bytes + s->len, bytes, n);
	s->len += n;
}

static void
put16(struct sample *s, size_t value)
{
	put_all(s, (const uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

/* The handshake message; n extensions, none at all if n is 0. */
static struct sample
make_message(const struct extension *ext, size_t n)
{
	struct sample s = { .len = 0 }, e = { .len = 0 };
	size_t body;

	for (size_t i = 0; i < n; i++) {
		put16(&e, ext[i].type);
		put16(&e, ext[i].len);
		put_all(&e, ext[i].body, ext[i].len);
	}
	put_all(&s, "\1\0\0\0\3\3", 6);
	put_all(&s, "0123456789abcdef0123456789abcdef", 32);
	put_all(&s, "\2id\0\4\x13\1\x13\2\1\0", 11);
	if (n) {
		put16(&s, e.len);
		put_all(&s, e.bytes, e.len);
	}
	body = s.len - 4;
	s.bytes[2] = (uint8_t)(body >> 8);
	s.bytes[3] = (uint8_t)body;
	return s;
}

/* The message in records of at most size bytes each. */
static struct sample
in_records(const struct sample *message, size_t size)
{
	struct sample s = { .len = 0 };

	for (size_t at = 0; at < message->len; at += size) {
		size_t n = message->len - at < size ? message->len - at : size;

		put_all(&s, "\x16\3\1", 3);
		put16(&s, n);
		put_all(&s, message->bytes + at, n);
	}
	return s;
}

static struct sample
make_hello(const struct extension *ext, size_t n)
{
	struct sample message = make_message(ext, n);

	return in_records(&message, 16384);
}

/* Asks with every number of bytes; the first answer that is not "more" must be the last one. */
static enum clienthello_result
parse_growing(const struct sample *s, struct clienthello *h)
{
	enum clienthello_result last = CLIENTHELLO_MORE;
	size_t need = 1;

	for (size_t n = 0; n <= s->len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		enum clienthello_result now;

		assert_non_null(copy);
		memcpy(copy, s->bytes, n);
		now = clienthello_parse(copy, n, h);
		free(copy);
		if (last != CLIENTHELLO_MORE)
			assert_int_equal(now, last);
		if (now == CLIENTHELLO_MORE) {
			assert_in_range(h->need, n + 1, s->len);
			assert_true(h->need >= need);
			need = h->need;
		}
		last = now;
	}
	return last;
}

/* ---- what a TLS library sends ---- */

static ssize_t
keep_bytes(gnutls_transport_ptr_t ptr, const void *bytes, size_t n)
{
	put_all(ptr, bytes, n);
	return (ssize_t)n;
}

static ssize_t
nothing_to_read(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
	(void)buf;
	(void)n;
	gnutls_transport_set_errno(*(gnutls_session_t *)((struct sample *)ptr)->bytes, EAGAIN);
	return -1;
}

/* The ClientHello of a GnuTLS client; name may be NULL. */
static struct sample
gnutls_hello(const char *priority, const char *name)
{
	gnutls_datum_t alpn[] = { { (unsigned char *)(char[]){ "h2" }, 2 },
		{ (unsigned char *)(char[]){ "http/1.1" }, 8 } };
	struct sample s = { .len = 0 }, session_at = { .len = 0 };
	gnutls_certificate_credentials_t cred;
	gnutls_session_t session;

	assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&cred), 0);
	assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, cred), 0);
	assert_int_equal(gnutls_priority_set_direct(session, priority, NULL), 0);
	assert_int_equal(gnutls_alpn_set_protocols(session, alpn, 2, 0), 0);
	if (name)
		assert_int_equal(gnutls_server_name_set(session, GNUTLS_NAME_DNS, name,
			strlen(name)), 0);
	memcpy(session_at.bytes, &session, sizeof(session));
	gnutls_transport_set_ptr2(session, &session_at, &s);
	gnutls_transport_set_push_function(session, keep_bytes);
	gnutls_transport_set_pull_function(session, nothing_to_read);
	assert_int_equal(gnutls_handshake(session), GNUTLS_E_AGAIN);
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(cred);
	return s;
}

static void
hellos_of_gnutls_are_understood(void **state)
{
	struct clienthello h;
	struct sample s = gnutls_hello("NORMAL", "WWW.Example.com");

	(void)state;
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_FOUND);
	assert_string_equal(h.name, "www.example.com");
	assert_true(clienthello_offers(&h, "h2"));
	assert_true(clienthello_offers(&h, "http/1.1"));
	assert_false(clienthello_offers(&h, "http/1"));
	assert_false(clienthello_offers(&h, "h3"));
	assert_int_equal(h.version[0], 0x0304);
	assert_int_equal(h.version[1], 0x0303);

	s = gnutls_hello("NORMAL", NULL);
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_NO_NAME);
	s = gnutls_hello("NORMAL:-VERS-ALL:+VERS-TLS1.2", "a.b");
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_FOUND);
	assert_string_equal(h.name, "a.b");
	assert_int_equal(h.version[0], 0x0303);
}

/* ---- what it may also be ---- */

static const struct extension usual[] = {
	EXT(0x0a0a, ""),			/* GREASE, RFC 8701 */
	EXT(0, SNI("\7", "\12", "Foo.bar")),
	EXT(16, "\0\14\2h2\10http/1.1"),
	EXT(43, "\4\x0a\x0a\3\4"),
};

static void
the_number_of_records_does_not_matter(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 50, 1000 };
	struct sample message = make_message(usual, 4);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct sample s = in_records(&message, sizes[i]);
		struct clienthello h;

		assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_FOUND);
		assert_string_equal(h.name, "foo.bar");
		assert_true(clienthello_offers(&h, "http/1.1"));
		assert_int_equal(h.n_version, 2);
		assert_int_equal(h.version[1], 0x0304);
		put_all(&s, "whatever follows", 16);
		assert_int_equal(clienthello_parse(s.bytes, s.len, &h), CLIENTHELLO_FOUND);
	}
}

static void
no_name_is_not_an_error(void **state)
{
	static const struct extension other_type[] = { EXT(0, "\0\5\1\0\2xx") };
	static const struct extension literal[] = { EXT(0, SNI("\7", "\12", "1.2.3.4")) };
	struct clienthello h;
	struct sample s = make_hello(NULL, 0);

	(void)state;
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_NO_NAME);
	assert_int_equal(h.n_version, 1);
	assert_int_equal(h.version[0], 0x0303);
	s = make_hello(other_type, 1);
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_NO_NAME);
	s = make_hello(literal, 1);
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_NO_NAME);
	assert_string_equal(h.name, "");
}

static void
malformed_extensions_are_refused(void **state)
{
	static const struct extension cases[][2] = {
		{ EXT(0, "") },
		{ EXT(0, "\0\0") },
		{ EXT(0, "\0\6\0\0\1a") },			/* list runs over */
		{ EXT(0, "\0\4\0\0\1a" "x") },			/* something after it */
		{ EXT(0, "\0\4\0\0\2a") },			/* name runs over */
		{ EXT(0, "\0\3\0\0\0") },			/* empty name */
		{ EXT(0, SNI("\3", "\6", "a\0b")) },
		{ EXT(0, SNI("\3", "\6", "a b")) },
		{ EXT(0, SNI("\3", "\6", "a:1")) },
		{ EXT(0, SNI("\4", "\7", "a..b")) },
		{ EXT(0, "\0\10\0\0\1a\0\0\1b") },		/* two host names */
		{ EXT(0, SNI("\1", "\4", "a")), EXT(0, SNI("\1", "\4", "b")) },
		{ EXT(16, "\0\0") },
		{ EXT(16, "\0\1\0") },				/* empty protocol */
		{ EXT(16, "\0\2\2h") },
		{ EXT(16, "\0\3\2h2x") },
		{ EXT(43, "") },
		{ EXT(43, "\0") },
		{ EXT(43, "\3\3\4\3") },
		{ EXT(43, "\2\3\4\3") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sample s = make_hello(cases[i], cases[i][1].body ? 2 : 1);
		struct clienthello h;

		assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_MALFORMED);
		assert_non_null(h.why);
	}
}

static void
malformed_structure_is_refused(void **state)
{
	static const struct {
		size_t at;			/* of the byte to spoil, in the record */
		uint8_t value;
	} cases[] = {
		{ 5 + 4 + 34, 33 },		/* session id longer than 32 */
		{ 5 + 4 + 34, 200 },
		{ 5 + 4 + 37 + 1, 3 },		/* odd cipher suites */
		{ 5 + 4 + 37, 1 },
		{ 5 + 4 + 43, 0 },		/* no compression method */
		{ 5 + 4 + 46, 200 },		/* extensions longer or shorter */
		{ 5 + 4 + 46, 1 },
		{ 5 + 4 + 50, 200 },		/* an extension longer than all of them */
	};
	const struct sample good = make_hello(usual, 4);
	struct clienthello h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sample s = good;

		s.bytes[cases[i].at] = cases[i].value;
		assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_MALFORMED);
		assert_non_null(h.why);
	}
}

static void
records_are_checked(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum clienthello_result result;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n", 16, CLIENTHELLO_NOT_TLS },
		{ "\x15\3\1\0\2\2\x28", 7, CLIENTHELLO_NOT_TLS },
		{ "\x16\2", 2, CLIENTHELLO_NOT_TLS },
		{ "\x16\3\1\0\4\2", 6, CLIENTHELLO_NOT_TLS },	/* a ServerHello */
		{ "\x80\x2e\1\0\2", 5, CLIENTHELLO_NOT_TLS },		/* SSL 2 */
		{ "\x16\3\1\0\0", 5, CLIENTHELLO_MALFORMED },
		{ "\x16\3\1\x40\1", 5, CLIENTHELLO_MALFORMED },
		{ "\x16\3\1\0\4\1\1\0\0", 9, CLIENTHELLO_MALFORMED },	/* 64 KiB of hello */
		{ "\x16\3\1\0\1\1\x17", 7, CLIENTHELLO_MALFORMED },
		{ "\x16\3\1\0\1\1\x16\4", 8, CLIENTHELLO_MALFORMED },
		{ "\x16\3\1\0\1\1\x16\3\1\0\0", 11, CLIENTHELLO_MALFORMED },
	};
	struct clienthello h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(clienthello_parse(cases[i].bytes, cases[i].len, &h),
			cases[i].result);
		assert_int_equal(clienthello_parse(cases[i].bytes, cases[i].len - 1, &h),
			*cases[i].bytes == 0x16 ? CLIENTHELLO_MORE : cases[i].result);
	}
}

/* A padding extension (RFC 7685) brings the whole to len bytes in records of at most size. */
static struct sample
padded_hello(size_t len, size_t size)
{
	static const char zeros[CLIENTHELLO_MAX];
	struct extension padding = { .type = 21, .body = zeros };
	struct sample message = make_message(&padding, 1);
	size_t records = (len + size + 4) / (size + 5);

	padding.len = len - 5 * records - message.len;
	message = make_message(&padding, 1);
	return in_records(&message, size);
}

static void
the_size_is_bounded(void **state)
{
	struct sample s = padded_hello(CLIENTHELLO_MAX, 16384);
	struct clienthello h;

	(void)state;
	assert_int_equal(s.len, CLIENTHELLO_MAX);
	assert_int_equal(clienthello_parse(s.bytes, 20, &h), CLIENTHELLO_MORE);
	assert_int_equal(h.need, CLIENTHELLO_MAX);
	assert_int_equal(clienthello_parse(s.bytes, s.len - 1, &h), CLIENTHELLO_MORE);
	assert_int_equal(clienthello_parse(s.bytes, s.len, &h), CLIENTHELLO_NO_NAME);
	s = padded_hello(CLIENTHELLO_MAX + 1, 16384);
	assert_int_equal(clienthello_parse(s.bytes, 20, &h), CLIENTHELLO_MALFORMED);
	s = padded_hello(CLIENTHELLO_MAX + 1, 99);
	assert_int_equal(s.len, CLIENTHELLO_MAX + 1);
	assert_int_equal(clienthello_parse(s.bytes, CLIENTHELLO_MAX - 200, &h), CLIENTHELLO_MORE);
	assert_int_equal(clienthello_parse(s.bytes, s.len, &h), CLIENTHELLO_MALFORMED);
}

static void
long_lists_are_cut(void **state)
{
	char alpn[2 + 6 * 100] = { (char)(600 >> 8), (char)(600 & 0xff) };
	char versions[1 + 2 * 100] = { (char)200 };
	struct extension ext[] = {
		{ 16, alpn, sizeof(alpn) }, { 43, versions, sizeof(versions) },
	};
	struct clienthello h;
	struct sample s;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		memcpy(alpn + 2 + 6 * i, i ? "\5other" : "\5first", 6);
		versions[1 + 2 * i] = 3;
	}
	s = make_hello(ext, 2);
	assert_int_equal(parse_growing(&s, &h), CLIENTHELLO_NO_NAME);
	assert_true(clienthello_offers(&h, "first"));
	assert_int_equal(h.alpn_len, 252);
	assert_int_equal(h.n_version, CLIENTHELLO_VERSIONS);
}

/* GnuTLS, as a client, must understand the alert as the one that was meant. */
static ssize_t
read_alert(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
	struct sample *s = ptr;

	assert_true(n <= s->len);
	memcpy(buf, s->bytes, n);
	memmove(s->bytes, s->bytes + n, s->len - n);
	s->len -= n;
	return (ssize_t)n;
}

static void
alerts_are_understood_by_a_client(void **state)
{
	static const struct {
		enum tls_alert alert;
		int result;
	} alerts[] = {
		{ TLS_ALERT_UNRECOGNIZED_NAME, GNUTLS_E_FATAL_ALERT_RECEIVED },
		{ TLS_ALERT_INTERNAL_ERROR, GNUTLS_E_FATAL_ALERT_RECEIVED },
		{ TLS_ALERT_DECODE_ERROR, GNUTLS_E_FATAL_ALERT_RECEIVED },
		{ TLS_ALERT_USER_CANCELED, GNUTLS_E_WARNING_ALERT_RECEIVED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(alerts) / sizeof(*alerts); i++) {
		struct sample in = { .len = CLIENTHELLO_ALERT_LEN }, out = { .len = 0 };
		gnutls_certificate_credentials_t cred;
		gnutls_session_t session;

		clienthello_alert(alerts[i].alert, in.bytes);
		assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT), 0);
		assert_int_equal(gnutls_certificate_allocate_credentials(&cred), 0);
		gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, cred);
		gnutls_set_default_priority(session);
		gnutls_handshake_set_timeout(session, GNUTLS_INDEFINITE_TIMEOUT);
		gnutls_transport_set_ptr2(session, &in, &out);
		gnutls_transport_set_push_function(session, keep_bytes);
		gnutls_transport_set_pull_function(session, read_alert);
		assert_int_equal(gnutls_handshake(session), alerts[i].result);
		assert_int_equal(gnutls_alert_get(session), alerts[i].alert);
		gnutls_deinit(session);
		gnutls_certificate_free_credentials(cred);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hellos_of_gnutls_are_understood),
		cmocka_unit_test(the_number_of_records_does_not_matter),
		cmocka_unit_test(no_name_is_not_an_error),
		cmocka_unit_test(malformed_extensions_are_refused),
		cmocka_unit_test(malformed_structure_is_refused),
		cmocka_unit_test(records_are_checked),
		cmocka_unit_test(the_size_is_bounded),
		cmocka_unit_test(long_lists_are_cut),
		cmocka_unit_test(alerts_are_understood_by_a_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
