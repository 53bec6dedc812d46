#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/relay.h"
#include "vector.h"

/* Bytes for a decoder: a copy of exact size, so that ASan sees a read past the end. */
static ssize_t
decode_exactly(const uint8_t *bytes, size_t len, struct relay_msg *m, const char **why)
{
	uint8_t *copy = malloc(len ? len : 1);
	ssize_t n;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	n = relay_decode(copy, len, m, why);
	free(copy);
	return n;
}

/* ---- what a message says, in the words of the captures' comments ---- */

struct story {
	char	line[16][512];
	size_t	n;
};

static void __attribute__((format(printf, 2, 3)))
tell(struct story *s, const char *fmt, ...)
{
	va_list ap;

	assert_true(s->n < sizeof(s->line) / sizeof(*s->line));
	va_start(ap, fmt);
	vsnprintf(s->line[s->n++], sizeof(*s->line), fmt, ap);
	va_end(ap);
}

static void
tell_addr(struct story *s, const struct wire_addr *a)
{
	char host[WIRE_ADDR_TEXT];

	wire_addr_host(a, host);
	if (a->type == WIRE_ADDR_NAME)
		tell(s, "feature ADDR len=%d: domain len=%d \"%s\" port %d", a->len + 4, a->len,
			host, a->port);
	else if (a->type == WIRE_ADDR_IPV4)
		tell(s, "feature ADDR len=7: IPv4 %s port %d", host, a->port);
	else
		tell(s, "feature ADDR len=19: IPv6 %s port %d", host, a->port);
}

static void
tell_tunnel(struct story *s, const struct relay_tunnel *t)
{
	char id[37], *p = id;

	for (size_t i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i >= 4 && i <= 10 && i % 2 == 0 ? "-" : "",
			t->id.b[i]);
	tell(s, "feature TUNNEL len=20: id=%s flag=0x%02x rsv=%02x00 weight=%d", id, t->flags,
		t->hints, t->weight);
}

static void
tell_features(struct story *s, const struct relay_msg *m)
{
	if (m->has_network)
		tell(s, "feature NETWORK len=2: 0x%04x", m->network);
	if (m->has_auth)
		tell(s, "feature USERAUTH len=%d: ulen=%d \"%s\" plen=%d \"%s\"",
			m->auth.user_len + m->auth.pass_len + 2, m->auth.user_len, m->auth.user,
			m->auth.pass_len, m->auth.pass);
	for (unsigned i = 0; i < m->n_addr; i++)
		tell_addr(s, &m->addr[i]);
	if (m->has_tunnel)
		tell_tunnel(s, &m->tunnel);
}

static void
tell_message(struct story *s, const struct relay_msg *m, bool request, size_t size)
{
	static const char *const cmds[] = { "(0)", "CONNECT", "BIND", "ASSOCIATE" };
	static const char *const statuses[] = {
		"OK", "BadRequest", "Unauthorized", "Forbidden", "Timeout", "ServiceUnavailable",
		"HostUnreachable", "NetworkUnreachable",
	};

	if (request)
		tell(s, "relay request: VER=1 CMD=%s%s FEALEN=%zu", cmds[m->code & RELAY_CMD_MASK],
			m->code & RELAY_UDP ? " | UDP flag 0x80" : "", size - RELAY_HEADER);
	else
		tell(s, "relay response: VER=1 STATUS=0x%02x %s FEALEN=%zu", m->code,
			statuses[m->code], size - RELAY_HEADER);
	tell_features(s, m);
}

/* ---- the captures ---- */

struct captured {
	uint8_t		 bytes[1024];
	size_t		 len;
	const char	*comment[16];
	size_t		 n;
	size_t		 skipped;	/* bytes of features that we do not know */
};

/* Comments of a message inside a smux frame are indented. */
static const char *
comment_of(const struct vector_line *line)
{
	return line->text + strspn(line->text, " ");
}

static bool
begins_message(const struct vector_line *line)
{
	const char *text = comment_of(line);

	return line->len && (!strncmp(text, "relay request:", 14)
		|| !strncmp(text, "relay response:", 15));
}

/*
 * The message that begins at v->line[at]: the line and the feature lines of the same side after
 * it.
 */
static struct captured
message_at(const struct vector *v, size_t at)
{
	struct captured c = { .len = 0 };
	char dir = v->line[at].dir;

	for (size_t i = at; i < v->n_line; i++) {
		const struct vector_line *line = &v->line[i];
		const char *text = comment_of(line);

		if (line->dir != dir || (i > at && strncmp(text, "feature ", 8)))
			break;
		memcpy(c.bytes + c.len, line->bytes, line->len);
		c.len += line->len;
		if (!strncmp(text, "feature type 0x", 15))
			c.skipped += line->len;
		else
			c.comment[c.n++] = text;
	}
	return c;
}

static void
check_fields(const struct captured *c, const struct relay_msg *m)
{
	struct story s = { .n = 0 };

	tell_message(&s, m, !strncmp(c->comment[0], "relay request:", 14), c->len);
	assert_int_equal(s.n, c->n);
	for (size_t i = 0; i < s.n; i++)
		if (strncmp(s.line[i], c->comment[i], strlen(s.line[i])))
			fail_msg("decoded \"%s\", captured \"%s\"", s.line[i], c->comment[i]);
}

static void
check_encoding(const struct captured *c, const struct relay_msg *m)
{
	uint8_t out[1024];
	struct relay_msg again;

	assert_int_equal(relay_size(m), c->len - c->skipped);
	assert_int_equal(relay_encode(m, out, sizeof(out)), c->len - c->skipped);
	assert_int_equal(relay_encode(m, out, c->len - c->skipped), c->len - c->skipped);
	assert_int_equal(relay_encode(m, out, c->len - c->skipped - 1), -ENOSPC);
	if (!c->skipped)
		assert_memory_equal(out, c->bytes, c->len);
	assert_int_equal(relay_decode(out, c->len - c->skipped, &again, NULL), c->len - c->skipped);
	assert_memory_equal(&again, m, sizeof(again));
}

static void
check_message(const struct captured *c)
{
	struct relay_msg m;
	const char *why = NULL;
	uint8_t more[1100];

	for (size_t cut = 0; cut < c->len; cut++) {
		assert_int_equal(decode_exactly(c->bytes, cut, &m, &why), 0);
		assert_in_range(relay_need(c->bytes, cut), cut + 1, c->len);
	}
	assert_int_equal(decode_exactly(c->bytes, c->len, &m, &why), c->len);
	check_fields(c, &m);
	check_encoding(c, &m);
	memcpy(more, c->bytes, c->len);
	memset(more + c->len, 0xff, sizeof(more) - c->len);
	assert_int_equal(relay_decode(more, sizeof(more), &m, &why), c->len);
}

static void
captured_messages_are_understood(void **state)
{
	static const struct {
		const char *name;
		size_t messages;
	} files[] = {
		{ "gost-tunnel-bind-http.txt", 3 },
		{ "gost-tunnel-refused.txt", 37 },
		{ "gost-tunnel-visitor-private.txt", 3 },
		{ "gost-tunnel-udp.txt", 5 },
		{ "gost-relay-connect.txt", 39 },
		{ "gost-relay-udp.txt", 6 },
		{ "gost-relay-bind-tcp.txt", 3 },
		{ "gost-tunnel-ha-sd.txt", 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct vector *v = vector_load(files[i].name);
		size_t n = 0;

		for (size_t at = 0; at < v->n_line; at++) {
			if (!begins_message(&v->line[at]))
				continue;
			check_message(&(struct captured[]){ message_at(v, at) }[0]);
			n++;
		}
		assert_int_equal(n, files[i].messages);
		vector_free(v);
	}
}

static void
what_gost_drops_silently_is_malformed(void **state)
{
	static const struct {
		const char *section, *why;
	} cases[] = {
		{ "A: wrong version byte", "not version 1 of the relay protocol" },
		{ "A: TUNNEL feature shorter", "TUNNEL shorter than 20 bytes" },
		{ "A: feature length runs past", "a feature runs past the message" },
		{ "A: ADDR with unknown", "ADDR too short, of unknown type or with a NUL" },
	};
	struct vector *v = vector_load("gost-tunnel-refused.txt");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t section = vector_section(v, cases[i].section), len;
		uint8_t *bytes = vector_stream(v, section, section, 'C', &len);
		const char *why = NULL;
		struct relay_msg m;

		assert_int_equal(decode_exactly(bytes, len, &m, &why), -EBADMSG);
		assert_string_equal(why, cases[i].why);
		free(bytes);
	}
	vector_free(v);
}

/* ---- what no capture has ---- */

static void
malformed_features_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t len;
	} cases[] = {
		{ { 1, 1, 0, 4, 1, 0, 1, 0 }, 8 },			/* USERAUTH of one byte */
		{ { 1, 1, 0, 5, 1, 0, 2, 1, 'u' }, 9 },			/* without a password */
		{ { 1, 1, 0, 7, 1, 0, 4, 1, 'u', 2, 'p' }, 11 },	/* password runs over */
		{ { 1, 1, 0, 8, 1, 0, 5, 2, 'u', 0, 1, 'p' }, 12 },	/* NUL in the user */
		{ { 1, 1, 0, 8, 2, 0, 5, 3, 1, 0, 0, 80 }, 12 },	/* NUL in the name */
		{ { 1, 1, 0, 6, 2, 0, 3, 3, 0, 0 }, 10 },		/* ADDR of three bytes */
		{ { 1, 1, 0, 4, 4, 0, 1, 0 }, 8 },			/* NETWORK of one byte */
		{ { 1, 1, 0, 2, 4, 0 }, 6 },				/* no room for the length */
		{ { 1, 1, 0, 4, 5, 0, 1, 0 }, 8 },			/* METADATA of one byte */
		{ { 1, 1, 0, 9, 5, 0, 6, 0, 1, 0, 9, 'k', 0 }, 13 },	/* key runs over */
	};
	struct relay_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *why = NULL;

		assert_int_equal(decode_exactly(cases[i].bytes, cases[i].len, &m, &why), -EBADMSG);
		assert_non_null(why);
		assert_int_equal(decode_exactly(cases[i].bytes, cases[i].len, &m, NULL), -EBADMSG);
	}
}

static void
the_last_of_a_repeated_feature_counts(void **state)
{
	static const uint8_t bytes[] = {
		1, 1, 0, 68,
		4, 0, 2, 0, 1, 4, 0, 2, 0, 0x10,
		1, 0, 4, 1, 'a', 1, 'b', 1, 0, 4, 1, 'u', 1, 'p',
		2, 0, 4, 3, 0, 0, 1, 2, 0, 4, 3, 0, 0, 2, 2, 0, 4, 3, 0, 0, 3,
		2, 0, 5, 3, 1, 'z', 0, 4,
		5, 0, 9, 0, 1, 0, 1, 'k', 0, 2, 'v', 'w',
		9, 0, 0,
	};
	struct relay_msg m;

	(void)state;
	assert_int_equal(relay_decode(bytes, sizeof(bytes), &m, NULL), sizeof(bytes));
	assert_int_equal(relay_msg_network(&m), RELAY_NET_UNIX);
	assert_string_equal(m.auth.user, "u");
	assert_string_equal(m.auth.pass, "p");
	assert_int_equal(m.n_addr, 4);
	assert_int_equal(m.addr[0].port, 1);
	assert_int_equal(m.addr[1].port, 2);
	assert_int_equal(m.addr[RELAY_ADDRS - 1].port, 4);
	assert_string_equal(m.addr[RELAY_ADDRS - 1].name, "z");
	assert_int_equal(relay_msg_pair(&m, "k")->value_len, 2);
	assert_null(relay_msg_pair(&m, "kk"));
	assert_int_equal(relay_size(&m), -EINVAL);	/* four addresses are not kept */
}

/* The two bytes after the flags are ours. */
static void
hints_stand_in_what_gost_reserves(void **state)
{
	struct relay_msg m = {
		.code = RELAY_BIND, .has_tunnel = true,
		.tunnel = { .hints = RELAY_TUNNEL_SHOWS_VISITOR, .weight = 7 },
	}, again;
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(relay_encode(&m, bytes, sizeof(bytes)), 27);
	assert_memory_equal(bytes + 7 + 16, "\0\x01\0\x07", 4);
	bytes[7 + 17] = 0x81;		/* one that we do not know */
	bytes[7 + 18] = 0xff;
	assert_int_equal(relay_decode(bytes, 27, &again, NULL), 27);
	assert_true(again.tunnel.hints & RELAY_TUNNEL_SHOWS_VISITOR);
	assert_int_equal(again.tunnel.flags, 0);
	assert_int_equal(again.tunnel.weight, 7);
	assert_int_equal(again.tunnel.sessions, 0xff);
	assert_false(again.tunnel.has_client);
}

/* A gost reads 20 bytes of the feature, whatever its length. What is no whole id is none. */
static void
client_stands_behind_what_gost_reads(void **state)
{
	struct relay_msg m = {
		.code = RELAY_BIND, .has_tunnel = true,
		.tunnel = { .sessions = 3, .weight = 7, .has_client = true,
			    .client = { "0123456789abcdef" } },
	}, again;
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(relay_encode(&m, bytes, sizeof(bytes)), 43);
	assert_memory_equal(bytes, "\x01\x02\0\x27\x03\0\x24", 7);
	assert_memory_equal(bytes + 7 + 16, "\0\0\x03\x07" "0123456789abcdef", 20);
	assert_int_equal(relay_decode(bytes, 43, &again, NULL), 43);
	assert_int_equal(again.tunnel.sessions, 3);
	assert_true(again.tunnel.has_client);
	assert_memory_equal(&again.tunnel.client, &m.tunnel.client, sizeof(m.tunnel.client));
	bytes[3]--;
	bytes[6]--;
	assert_int_equal(relay_decode(bytes, 42, &again, NULL), 42);
	assert_false(again.tunnel.has_client);
	assert_int_equal(again.tunnel.weight, 7);
}

static void
metadata_is_bounded(void **state)
{
	uint8_t bytes[3000] = { 1, 1, 0, 0, 5, 0, 0, 0, 22 };
	size_t len = 9;
	struct relay_msg m;
	uint8_t out[3000];

	(void)state;
	for (unsigned i = 0; i < 22; i++) {
		bytes[len + 1] = 1;
		bytes[len + 2] = (uint8_t)('a' + i);
		len += 5;
	}
	bytes[9 + 3] = 1;		/* the first value has 300 bytes: kept are 255 */
	bytes[9 + 4] = 44;
	memmove(bytes + 14 + 300, bytes + 14, len - 14);
	memset(bytes + 14, 'v', 300);
	len += 300;
	bytes[2] = (uint8_t)((len - 4) >> 8);
	bytes[3] = (uint8_t)(len - 4);
	bytes[5] = (uint8_t)((len - 7) >> 8);
	bytes[6] = (uint8_t)(len - 7);
	assert_int_equal(relay_decode(bytes, len, &m, NULL), len);
	assert_int_equal(m.n_pair, RELAY_PAIRS);
	assert_int_equal(relay_msg_pair(&m, "a")->value_len, 255);
	assert_non_null(relay_msg_pair(&m, "t"));
	assert_null(relay_msg_pair(&m, "u"));
	assert_int_equal(relay_encode(&m, out, sizeof(out)), 4 + 5 + RELAY_PAIRS * 5 + 255);
	m.n_pair = RELAY_PAIRS + 1;
	assert_int_equal(relay_size(&m), -EINVAL);
}

/* A tunnel connector with `record.mode`, as x 0.13.15 and later send it. */
static void
metadata_is_encoded(void **state)
{
	static const uint8_t expected[] = {
		1, 1, 0, 23, 5, 0, 20, 0, 1, 0, 11, 'r', 'e', 'c', 'o', 'r', 'd', '.', 'm', 'o',
		'd', 'e', 0, 3, 'o', 'f', 'f',
	};
	struct relay_msg m = {
		.code = RELAY_CONNECT, .n_pair = 1,
		.pair = { { .key = "record.mode", .key_len = 11, .value = "off", .value_len = 3 } },
	};
	uint8_t out[64];

	(void)state;
	assert_int_equal(relay_encode(&m, out, sizeof(out)), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
	assert_int_equal(relay_decode(out, sizeof(expected), &m, NULL), sizeof(expected));
	assert_memory_equal(relay_msg_pair(&m, "record.mode")->value, "off", 3);
}

static void
the_wildcard_bug_of_gost_is_mended(void **state)
{
	static const uint8_t tolerated[] = {
		1, 2, 0, 20, 2, 0, 17, 3, 13, '0', '.', '0', '.', '0', '.', '0', ':', ':', '7',
		'0', '0', '5', 0, 0,
	};
	uint8_t bytes[sizeof(tolerated)];
	struct relay_msg m;

	(void)state;
	assert_int_equal(relay_decode(tolerated, sizeof(tolerated), &m, NULL), sizeof(tolerated));
	assert_int_equal(m.addr[0].type, WIRE_ADDR_IPV4);
	assert_true(wire_addr_is_any(&m.addr[0]));
	assert_int_equal(m.addr[0].port, 7005);

	memcpy(bytes, tolerated, sizeof(bytes));
	bytes[sizeof(bytes) - 1] = 1;		/* a port of its own: then it is just a name */
	assert_int_equal(relay_decode(bytes, sizeof(bytes), &m, NULL), sizeof(bytes));
	assert_int_equal(m.addr[0].type, WIRE_ADDR_NAME);

	memcpy(bytes, tolerated, sizeof(bytes));
	bytes[sizeof(bytes) - 3] = 'x';
	assert_int_equal(relay_decode(bytes, sizeof(bytes), &m, NULL), sizeof(bytes));
	assert_int_equal(m.addr[0].type, WIRE_ADDR_NAME);
}

static void
networks_unknown_to_us_are_tcp(void **state)
{
	static const struct {
		uint16_t sent;
		enum relay_network means;
	} cases[] = {
		{ 0, RELAY_NET_TCP }, { 1, RELAY_NET_UDP }, { 2, RELAY_NET_IP },
		{ 3, RELAY_NET_TCP }, { 0x10, RELAY_NET_UNIX }, { 0x11, RELAY_NET_SERIAL },
		{ 0x100, RELAY_NET_TCP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_msg m = { .has_network = true, .network = cases[i].sent };

		assert_int_equal(relay_msg_network(&m), cases[i].means);
	}
}

static void
the_longest_message_is_taken(void **state)
{
	uint8_t *bytes = calloc(1, RELAY_MAX);
	struct relay_msg m;

	(void)state;
	assert_non_null(bytes);
	memcpy(bytes, (const uint8_t[]){ 1, 2, 0xff, 0xff, 0x77, 0xff, 0xfc }, 7);
	assert_int_equal(relay_decode(bytes, RELAY_MAX - 1, &m, NULL), 0);
	assert_int_equal(relay_need(bytes, RELAY_MAX - 1), RELAY_MAX);
	assert_int_equal(relay_decode(bytes, RELAY_MAX, &m, NULL), RELAY_MAX);
	assert_int_equal(m.n_addr, 0);
	free(bytes);
}

static void
what_has_no_encoding_is_refused(void **state)
{
	struct relay_msg m = { .code = RELAY_BIND, .n_addr = 1 };

	(void)state;
	assert_int_equal(relay_size(&m), -EINVAL);	/* an address without a type */
	m.addr[0].type = WIRE_ADDR_NAME;
	assert_int_equal(relay_size(&m), 4 + 3 + 4);
}

static void
statuses_have_texts(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= RELAY_INTERNAL_ERROR; i++)
		assert_string_not_equal(relay_status_text(i), "unknown status");
	assert_string_equal(relay_status_text(RELAY_HOST_UNREACHABLE), "host unreachable");
	assert_string_equal(relay_status_text(RELAY_INTERNAL_ERROR + 1), "unknown status");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_messages_are_understood),
		cmocka_unit_test(what_gost_drops_silently_is_malformed),
		cmocka_unit_test(malformed_features_are_refused),
		cmocka_unit_test(the_last_of_a_repeated_feature_counts),
		cmocka_unit_test(hints_stand_in_what_gost_reserves),
		cmocka_unit_test(client_stands_behind_what_gost_reads),
		cmocka_unit_test(metadata_is_bounded),
		cmocka_unit_test(metadata_is_encoded),
		cmocka_unit_test(the_wildcard_bug_of_gost_is_mended),
		cmocka_unit_test(networks_unknown_to_us_are_tcp),
		cmocka_unit_test(the_longest_message_is_taken),
		cmocka_unit_test(what_has_no_encoding_is_refused),
		cmocka_unit_test(statuses_have_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
