/*
 * The entry point up to where HTTP begins: what comes in there is told apart, and TLS goes by its
 * name to a tunnel whose sessions are the test's. visit_http() and visit_h2()
 * are the test's, too.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include <adit/tunnel.h>

#include "core/conn/listen.h"
#include "core/service/component.h"
#include "core/tunnel/table.h"
#include "core/tunnel/visit.h"
#include "core/wire/clienthello.h"
#include "tests/unit/loop.h"

#define A "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define B "6a9f1d3c-0e5b-4a7d-9c28-1f3b5d7e9012"
#define LIMIT 30000

struct world {
	struct loop		*loop;
	struct listen_book	*sockets;
	struct activities	 activities;
	struct adit_component	 component;
	struct entry_conf	 conf;
	struct entry		*entry;
	uint64_t		 member;

	/* What came of a visitor. */
	struct adit_conn	*http;		/* given to visit_http, or _h2 */
	bool			 h2;		/* the latter */
	struct adit_conn	*far;		/* the session's other end */
	struct adit_open	 asked;
	char			 host[256];
	unsigned		 opens;
};

static struct world *http_world;	/* of visit_http, which has no argument of ours */

void
visit_http(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start)
{
	(void)s;
	(void)start;
	assert_non_null(http_world);
	assert_null(http_world->http);
	http_world->http = c;
	http_world->h2 = false;
}

void
visit_h2(struct entry_shared *s, struct adit_conn *c, const struct visit_start *start)
{
	visit_http(s, c, start);
	http_world->h2 = true;
}

/* a.example -> A, p.example -> A but private, b.example -> B, which nobody serves. */
static int
lookup(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	(void)arg;
	(void)w;
	*out = (struct adit_rule){ .private_ = strcmp(host, "p.example") == 0 };
	if (strcmp(host, "a.example") == 0 || out->private_)
		return adit_uuid_parse(A, false, &out->tunnel);
	if (strcmp(host, "b.example") == 0)
		return adit_uuid_parse(B, false, &out->tunnel);
	return ADIT_ENOROUTE;
}

static struct adit_conn *
session_open(void *session, const struct adit_open *req, struct adit_err *e)
{
	struct world *t = session;
	struct adit_conn *near = NULL;

	t->opens++;
	t->asked = *req;
	assert_true(strlen(req->host) < sizeof(t->host));
	strcpy(t->host, req->host);
	assert_null(t->far);
	if (adit_conn_pair(t->loop->worker, t->loop->worker, 100000, &near, &t->far) < 0)
		adit_err_set(e, -ENOMEM, "out of memory");
	return near;
}

static int
setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	t->sockets = listen_book_new(1);
	component_init(&t->component, "entry", NULL, NULL);
	t->component.activities = &t->activities;
	t->conf = (struct entry_conf){
		.sockets = t->sockets,
		.component = &t->component, .addr = "127.0.0.1:0", .node = "test",
		.lookup = lookup, .arg = t, .read_timeout = ADIT_SECONDS(5),
	};
	t->member = adit_tunnel_join(t->loop->worker, &(struct adit_member){
		.tunnel = A, .network = ADIT_TCP, .open = session_open, .session = t,
	});
	assert_int_not_equal(t->member, 0);
	http_world = t;
	*state = t;
	return 0;
}

static void
begin(struct world *t)
{
	struct adit_err e = ADIT_ERR_INIT;

	t->entry = entry_open(&t->conf, &e);
	if (!t->entry || entry_start(t->entry, t->loop->worker, &e) < 0)
		fail_msg("%s", e.text);
}

static int
teardown(void **state)
{
	struct world *t = *state;

	if (t->entry)
		entry_stop(t->entry, t->loop->worker);
	entry_close(t->entry);
	adit_conn_close(t->http, 0);
	adit_conn_close(t->far, 0);
	loop_turn(t->loop, 5);
	activities_stop(&t->activities, t->loop->worker, ADIT_ESTOPPED);
	loop_turn(t->loop, 5);
	assert_int_equal(t->activities.n, 0);
	adit_tunnel_leave(t->loop->worker, t->member);
	loop_free(t->loop);
	assert_int_equal(t->component.refs, 1);
	listen_book_free(t->sockets);
	http_world = NULL;
	free(t);
	return 0;
}

/* ---- a visitor ------------------------------------------------------------------- */

static int
visitor_at(const struct entry *entry)
{
	struct sockaddr_storage ss;
	socklen_t len = adit_addr_to(entry_addr(entry), &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static int
visitor(struct world *t, const void *bytes, size_t len)
{
	int fd;

	if (!t->entry)
		begin(t);
	fd = visitor_at(t->entry);
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
	return fd;
}

/* What the visitor gets next: bytes, 0 at the end, or -errno; turns the loop meanwhile. */
static ssize_t
gets(struct world *t, int fd, void *buf, size_t len)
{
	uint64_t start = adit_now();
	ssize_t n;

	do {
		loop_turn(t->loop, 1);
		n = recv(fd, buf, len, MSG_DONTWAIT);
	} while (n < 0 && errno == EAGAIN && adit_now() - start < ADIT_MS(LIMIT));
	return n < 0 ? -errno : n;
}

/* The end, and no reset, which could take what was said before from him. */
static void
expect_end(struct world *t, int fd)
{
	char c;

	assert_int_equal(gets(t, fd, &c, 1), 0);
	assert_int_equal(t->opens, 0);
	assert_null(t->http);
	close(fd);
}

static void
expect_status(struct world *t, int fd, int status)
{
	char buf[1024] = "", line[32];
	size_t len = 0;
	ssize_t n;

	while ((n = gets(t, fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	assert_memory_equal(buf, line, strlen(line));
	assert_non_null(strstr(buf, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(buf, "\r\n\r\n"));
	expect_end(t, fd);
}

static void
expect_alert(struct world *t, int fd, enum tls_alert alert)
{
	uint8_t expected[CLIENTHELLO_ALERT_LEN], buf[64];

	clienthello_alert(alert, expected);
	assert_int_equal(gets(t, fd, buf, sizeof(buf)), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_int_equal(gets(t, fd, buf, sizeof(buf)), 0);
	assert_null(t->http);
	close(fd);
}

/* A ClientHello for name; none if it is "". Returns its length. */
static size_t
hello_for(const char *name, uint8_t out[512])
{
	static const uint8_t front[] = {
		0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3,
	};
	size_t name_len = strlen(name), len = sizeof(front);

	memcpy(out, front, len);
	memset(out + len, 'r', 32);
	len += 32;
	memcpy(out + len, "\0\0\2\x13\1\1\0", 7);
	len += 7;
	if (name_len) {
		const uint8_t sni[] = {
			0, (uint8_t)(name_len + 9), 0, 0, 0, (uint8_t)(name_len + 5),
			0, (uint8_t)(name_len + 3), 0, 0, (uint8_t)name_len,
		};

		memcpy(out + len, sni, sizeof(sni));
		len += sizeof(sni);
		memcpy(out + len, name, name_len);
		len += name_len;
	}
	out[4] = (uint8_t)(len - 5);
	out[8] = (uint8_t)(len - 9);
	return len;
}

static bool
has_far(void *arg)
{
	return ((struct world *)arg)->far;
}

static bool
has_http(void *arg)
{
	return ((struct world *)arg)->http;
}

static ssize_t
far_gets(struct world *t, void *buf, size_t len)
{
	uint64_t start = adit_now();
	ssize_t n;

	do {
		loop_turn(t->loop, 1);
		n = adit_conn_read(t->far, buf, len);
	} while (n == -EAGAIN && adit_now() - start < ADIT_MS(LIMIT));
	return n;
}

/* The far side has got exactly these bytes, and the two are joined. */
static void
expect_joined(struct world *t, int fd, const void *bytes, size_t len)
{
	uint8_t buf[1024];
	size_t got = 0;

	assert_true(loop_until(t->loop, has_far, t, LIMIT));
	while (got < len) {
		ssize_t n = far_gets(t, buf + got, sizeof(buf) - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(got, len);
	assert_memory_equal(buf, bytes, len);
	assert_int_equal(adit_conn_write(t->far, "answer", 6), 6);
	assert_int_equal(gets(t, fd, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "answer", 6);
	assert_int_equal(send(fd, "more", 4, 0), 4);
	assert_int_equal(far_gets(t, buf, sizeof(buf)), 4);
}

/* ---- TLS --------------------------------------------------------------------------- */

static void
tls_goes_by_its_name(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("A.Example", hello);
	struct sockaddr_in sin;
	socklen_t sinlen = sizeof(sin);
	int fd = visitor(t, hello, len);

	expect_joined(t, fd, hello, len);
	assert_int_equal(t->opens, 1);
	assert_string_equal(t->host, "a.example");
	assert_int_equal(t->asked.port, 443);
	assert_int_equal(t->asked.network, ADIT_TCP);
	getsockname(fd, (struct sockaddr *)&sin, &sinlen);
	assert_int_equal(t->asked.from.port, ntohs(sin.sin_port));
	assert_int_equal(t->activities.n, 1);
	close(fd);
}

static void
a_hello_byte_by_byte(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);
	int fd = visitor(t, hello, 1);

	for (size_t i = 1; i < len; i++) {
		loop_turn(t->loop, 2);
		assert_int_equal(t->opens, 0);
		assert_int_equal(send(fd, hello + i, 1, 0), 1);
	}
	expect_joined(t, fd, hello, len);
	close(fd);
}

static void
names_that_lead_nowhere(void **state)
{
	static const char *const names[] = { "unknown.example", "p.example", "x.a.example", "" };
	struct world *t = *state;
	uint8_t hello[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t len = hello_for(names[i], hello);

		expect_alert(t, visitor(t, hello, len), TLS_ALERT_UNRECOGNIZED_NAME);
		assert_int_equal(t->opens, 0);
	}
}

static void
a_tunnel_that_nobody_serves(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("b.example", hello);

	expect_alert(t, visitor(t, hello, len), TLS_ALERT_INTERNAL_ERROR);
}

static void
tls_that_is_none(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);

	hello[5] = 2;		/* a ServerHello */
	expect_alert(t, visitor(t, hello, len), TLS_ALERT_DECODE_ERROR);
	assert_int_equal(t->opens, 0);
}

static void
a_far_side_that_does_not_answer(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);
	char c;
	int fd;
	ssize_t n;

	t->conf.read_timeout = ADIT_MS(50);
	fd = visitor(t, hello, len);
	n = gets(t, fd, &c, 1);
	assert_true(n == 0 || n == -ECONNRESET);
	assert_int_equal(t->opens, 1);
	close(fd);
}

/* ---- everything else ----------------------------------------------------------------- */

static void
http_goes_on_with_all_its_bytes(void **state)
{
	static const char *const heads[] = {
		"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
		"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	};
	struct world *t = *state;

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		int fd = visitor(t, heads[i], strlen(heads[i]));
		char buf[128];

		assert_true(loop_until(t->loop, has_http, t, LIMIT));
		assert_int_equal(adit_conn_read(t->http, buf, sizeof(buf)), strlen(heads[i]));
		assert_memory_equal(buf, heads[i], strlen(heads[i]));
		assert_int_equal(t->h2, strncmp(heads[i], "PRI ", 4) == 0);
		assert_int_equal(t->activities.n, 0);
		adit_conn_close(t->http, 0);
		t->http = NULL;
		close(fd);
	}
}

static void
garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "\0\0\0\0", 4 },
		{ "\xff\xfe\xfd", 3 },
		{ "SSH-2.0-x\r\n", 11 },
		{ "\r\n\r\n\0", 5 },
		{ "\nGET / HTTP/1.1\r\n", 17 },
		{ "\5\1\0", 3 },
	};
	struct world *t = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect_status(t, visitor(t, rows[i].bytes, rows[i].len), 400);
}

/* Much of it is not read by then: the answer must arrive all the same. */
static void
a_flood_of_garbage(void **state)
{
	static const uint8_t flood[50000] = { 0xff };
	struct world *t = *state;

	expect_status(t, visitor(t, flood, sizeof(flood)), 400);
}

static void
empty_lines_that_never_end(void **state)
{
	struct world *t = *state;
	char flood[20000];

	for (size_t i = 0; i < sizeof(flood); i++)
		flood[i] = i % 2 ? '\n' : '\r';
	expect_status(t, visitor(t, flood, sizeof(flood)), 400);
}

/* A gost that was told the wrong port hears why; that it knows a tunnel's id is no password. */
static void
relay_is_not_for_visitors(void **state)
{
	static const char visit[] = "\1\1\0\x1a\2\0\7\1";
	struct world *t = *state;
	char buf[8];

	for (size_t len = 1; len < sizeof(visit); len++) {
		int fd = visitor(t, visit, len);

		assert_int_equal(gets(t, fd, buf, sizeof(buf)), 4);
		assert_memory_equal(buf, "\1\3\0\0", 4);	/* status 3: forbidden */
		expect_end(t, fd);
	}
}

static int
visitor_gone(struct world *t, const void *bytes, size_t len)
{
	int fd = visitor(t, bytes, len);

	shutdown(fd, SHUT_WR);
	return fd;
}

static void
gone_before_it_said_what_it_wants(void **state)
{
	static const char *const heads[] = {
		"G", "GET / HTTP/1.1\r\nHost: a.exam", "\r\nGET /", "PRI * HTTP/2.0\r\n",
	};
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);

	for (size_t cut = 0; cut < len; cut += 7)
		expect_end(t, visitor_gone(t, hello, cut));
	expect_end(t, visitor_gone(t, "\r\n\r\n", 4));
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		expect_status(t, visitor_gone(t, heads[i], strlen(heads[i])), 400);
}

/* Neither an error of the protocol's nor a word that TLS does not know: RFC 8446, 6.1. */
static void
expect_canceled(struct world *t, int fd)
{
	static const uint8_t words[] = { 0x15, 3, 3, 0, 2, 1, 90, 0x15, 3, 3, 0, 2, 1, 0 };
	uint8_t buf[32];
	size_t len = 0;

	while (len < sizeof(words)) {
		ssize_t n = gets(t, fd, buf + len, sizeof(buf) - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_int_equal(len, sizeof(words));
	assert_memory_equal(buf, words, sizeof(words));
	expect_end(t, fd);
}

static void
slow_to_say_what_it_wants(void **state)
{
	struct world *t = *state;
	uint64_t start = adit_now();
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);
	int mute = visitor(t, "", 0), empty = visitor(t, "\r\n", 2);
	int letter = visitor(t, "G", 1), head = visitor(t, "GET / HTTP/1.1\r\nHost: a.", 24);
	int type = visitor(t, hello, 1), half = visitor(t, hello, len / 2);

	expect_end(t, mute);
	assert_in_range(adit_now() - start, ADIT_MS(4900), ADIT_MS(LIMIT));
	expect_end(t, empty);
	expect_status(t, letter, 408);
	expect_status(t, head, 408);
	expect_canceled(t, type);
	expect_canceled(t, half);
}

static void
more_than_a_hello_may_have(void **state)
{
	struct world *t = *state;
	static uint8_t flood[40000];
	size_t sent = 0;
	int fd;
	ssize_t n;
	char c;

	/* A handshake message of 64 KiB in records of 16 KiB that never ends. */
	for (size_t at = 0; at + 5 < sizeof(flood); at += 5 + 16000)
		memcpy(flood + at, "\x16\3\1\x3e\x80", 5);
	memcpy(flood + 5, "\1\0\xff\xff\3\3", 6);
	fd = visitor(t, flood, 100);
	for (sent = 100; sent < sizeof(flood);) {
		loop_turn(t->loop, 1);
		n = send(fd, flood + sent, sizeof(flood) - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	do
		n = gets(t, fd, &c, 1);
	while (n > 0);
	assert_int_equal(t->opens, 0);
	close(fd);
}

/* ---- a PROXY header --------------------------------------------------------------------- */

static const char proxy_line[] = "PROXY TCP4 192.0.2.9 127.0.0.1 5555 443\r\n";

static void
a_proxy_header_says_who_it_is(void **state)
{
	struct world *t = *state;
	uint8_t bytes[1024];
	size_t head = sizeof(proxy_line) - 1, len;
	char text[ADIT_ADDR_TEXT];
	int fd;

	t->conf.proxy_protocol = true;
	memcpy(bytes, proxy_line, head);
	len = hello_for("a.example", bytes + head);
	/* First the header alone, then the rest. */
	fd = visitor(t, bytes, head);
	loop_turn(t->loop, 5);
	assert_int_equal(t->opens, 0);
	assert_int_equal(send(fd, bytes + head, len, 0), len);
	expect_joined(t, fd, bytes + head, len);
	assert_string_equal(adit_addr_format(&t->asked.from, text), "192.0.2.9:5555");
	close(fd);
}

static void
a_proxy_header_in_one_piece_with_the_rest(void **state)
{
	struct world *t = *state;
	uint8_t bytes[1024];
	size_t head = sizeof(proxy_line) - 1, len;
	char text[ADIT_ADDR_TEXT];
	int fd;

	t->conf.proxy_protocol = true;
	memcpy(bytes, proxy_line, head);
	len = hello_for("a.example", bytes + head);
	fd = visitor(t, bytes, head + len);
	expect_joined(t, fd, bytes + head, len);
	assert_string_equal(adit_addr_format(&t->asked.from, text), "192.0.2.9:5555");
	close(fd);
}

static void
a_proxy_header_is_not_demanded(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);
	int fd;

	t->conf.proxy_protocol = true;
	fd = visitor(t, hello, len);
	expect_joined(t, fd, hello, len);
	close(fd);
}

/* Where it is not configured it is nothing but a strange method. */
static void
a_proxy_header_is_believed_only_if_configured(void **state)
{
	struct world *t = *state;
	int fd = visitor(t, proxy_line, sizeof(proxy_line) - 1);
	char text[ADIT_ADDR_TEXT], buf[64];

	/* A head of which no more comes. */
	shutdown(fd, SHUT_WR);
	expect_status(t, fd, 400);
	fd = visitor(t, proxy_line, sizeof(proxy_line) - 1);
	assert_int_equal(send(fd, "\r\n", 2, 0), 2);
	assert_true(loop_until(t->loop, has_http, t, LIMIT));
	assert_string_equal(adit_addr_format_ip(adit_conn_remote(t->http), text), "127.0.0.1");
	assert_int_equal(adit_conn_read(t->http, buf, 5), 5);
	assert_memory_equal(buf, "PROXY", 5);
	close(fd);
}

static void
a_proxy_header_of_a_stranger_is_not_believed(void **state)
{
	struct world *t = *state;
	char proxies[] = "192.0.2.0/24", *trusted[] = { proxies };
	int fd;

	t->conf.proxy_protocol = true;
	t->conf.trusted = (struct adit_strings){ .v = trusted, .n = 1 };
	fd = visitor(t, proxy_line, sizeof(proxy_line) - 1);
	shutdown(fd, SHUT_WR);
	expect_status(t, fd, 400);	/* but the beginning of a strange request */
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
newcomers_are_stopped_with_the_service(void **state)
{
	struct world *t = *state;
	char c;
	int fd = visitor(t, "G", 1);
	ssize_t n;

	while (!t->activities.n)
		loop_turn(t->loop, 1);
	entry_stop(t->entry, t->loop->worker);
	loop_turn(t->loop, 3);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	activities_stop(&t->activities, t->loop->worker, 0);
	assert_int_equal(t->activities.n, 0);
	n = gets(t, fd, &c, 1);
	assert_true(n == 0 || n == -ECONNRESET);
	close(fd);
}

static void
visits_outlive_the_entry_point(void **state)
{
	struct world *t = *state;
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);
	int fd = visitor(t, hello, len);

	assert_true(loop_until(t->loop, has_far, t, LIMIT));
	entry_stop(t->entry, t->loop->worker);
	entry_close(t->entry);
	t->entry = NULL;
	expect_joined(t, fd, hello, len);
	close(fd);
}

static void
a_port_in_use(void **state)
{
	struct world *t = *state;
	struct adit_err e = ADIT_ERR_INIT;
	char addr[ADIT_ADDR_TEXT];
	struct listen_book *others = listen_book_new(1);

	begin(t);
	adit_addr_format(entry_addr(t->entry), addr);
	assert_null(listen_get(others, addr, 0, &e));
	listen_book_free(others);
	t->conf.addr = "nonsense:port";
	assert_null(entry_open(&t->conf, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_non_null(strstr(e.text, "entrypoint"));
}

/* ---- two workers --------------------------------------------------------------------------- */

struct crossing {
	struct entry	*entry;
	uint64_t	 member;
	int		 err;
	atomic_int	 opens;
};

static void
far_event(void *owner, struct adit_conn *c, unsigned events)
{
	char buf[1024];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	(void)owner;
	(void)events;
	if (n > 0)
		adit_conn_write(c, "served", 6);
	else if (n != -EAGAIN)
		adit_conn_close(c, n ? -ECONNABORTED : 0);
}

static struct adit_worker *member_worker;

static struct adit_conn *
crossing_open(void *session, const struct adit_open *req, struct adit_err *e)
{
	struct crossing *x = session;
	struct adit_conn *near = NULL, *far;

	(void)req;
	atomic_fetch_add(&x->opens, 1);
	if (adit_conn_pair(member_worker, member_worker, 1000, &near, &far) < 0) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	adit_conn_own(far, far_event, NULL);
	adit_conn_want(far, ADIT_READ);
	return near;
}

static void
crossing_start(struct adit_worker *w, void *arg)
{
	struct crossing *x = arg;
	struct adit_err e = ADIT_ERR_INIT;

	if (entry_start(x->entry, w, &e) < 0)
		x->err = e.code;
	if (adit_worker_index(w) != 1)
		return;
	member_worker = w;
	x->member = adit_tunnel_join(w, &(struct adit_member){
		.tunnel = A, .network = ADIT_TCP, .open = crossing_open, .session = x,
	});
}

static void
crossing_stop(struct adit_worker *w, void *arg)
{
	struct crossing *x = arg;

	entry_stop(x->entry, w);
	if (adit_worker_index(w) == 1)
		adit_tunnel_leave(w, x->member);
}

static void
settle(struct adit_worker *w, void *arg)
{
	activities_stop(arg, w, ADIT_ESTOPPED);
}

/* Whichever worker accepts, the visitor is served where the session is. */
static void
visitors_of_any_worker(void **state)
{
	struct world *t = *state;
	struct crossing x = { .err = 0 };
	struct adit_err e = ADIT_ERR_INIT;
	struct worker_group *g = workers_start(&(struct worker_conf){ .workers = 2 }, &e);
	const struct timeval limit = { .tv_sec = LIMIT / 1000 };
	uint8_t hello[512];
	size_t len = hello_for("a.example", hello);
	uint64_t start;

	assert_non_null(g);
	assert_int_equal(tunnels_start(g), 0);
	listen_book_free(t->sockets);
	t->conf.sockets = t->sockets = listen_book_new(2);
	x.entry = entry_open(&t->conf, &e);
	assert_non_null(x.entry);
	workers_call(g, crossing_start, &x);
	assert_int_equal(x.err, 0);
	for (int i = 0; i < 16; i++) {	/* all to one worker: once in 32768 runs */
		int fd = visitor_at(x.entry);
		char buf[16];

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		assert_int_equal(send(fd, hello, len, 0), len);
		assert_int_equal(recv(fd, buf, 6, MSG_WAITALL), 6);
		assert_memory_equal(buf, "served", 6);
		close(fd);
	}
	assert_int_equal(atomic_load(&x.opens), 16);
	workers_call(g, crossing_stop, &x);
	entry_close(x.entry);
	start = adit_now();
	do
		workers_call(g, settle, &t->activities);
	while (t->activities.n && adit_now() - start < ADIT_MS(LIMIT));
	workers_stop(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tls_goes_by_its_name),
		TEST(a_hello_byte_by_byte),
		TEST(names_that_lead_nowhere),
		TEST(a_tunnel_that_nobody_serves),
		TEST(tls_that_is_none),
		TEST(a_far_side_that_does_not_answer),
		TEST(http_goes_on_with_all_its_bytes),
		TEST(garbage),
		TEST(a_flood_of_garbage),
		TEST(empty_lines_that_never_end),
		TEST(relay_is_not_for_visitors),
		TEST(gone_before_it_said_what_it_wants),
		TEST(slow_to_say_what_it_wants),
		TEST(more_than_a_hello_may_have),
		TEST(a_proxy_header_says_who_it_is),
		TEST(a_proxy_header_in_one_piece_with_the_rest),
		TEST(a_proxy_header_is_not_demanded),
		TEST(a_proxy_header_is_believed_only_if_configured),
		TEST(a_proxy_header_of_a_stranger_is_not_believed),
		TEST(newcomers_are_stopped_with_the_service),
		TEST(visits_outlive_the_entry_point),
		TEST(a_port_in_use),
		TEST(visitors_of_any_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
