#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/event.h>
#include <event2/util.h>

#include "core/runtime/resolver.h"
#include "tests/unit/loop.h"

#define LIMIT_MS 20000

/* A name server on the test's loop, the files that point to it, and the last answer. */
struct rig {
	struct loop			*loop;
	struct evdns_server_port	*port;
	struct sockaddr_in		 addr;
	char				 folder[64], resolv[96], hosts[96];
	unsigned			 asked;		/* requests that have come */
	char				 last[128];	/* the name in the last one */
	struct evdns_server_request	*kept;		/* not answered yet */

	bool				 calling;
	unsigned			 answers;
	int				 err;
	size_t				 n;
	struct adit_addr		 addrs[RESOLVER_MAX];
};

/* ---- the server ------------------------------------------------------------------------ */

static void
answer_a(struct evdns_server_request *req, const char *name, int n)
{
	for (int i = 0; i < n; i++) {
		uint32_t ip = htonl(0xc0000201u + (uint32_t)i);		/* 192.0.2.1 and on */

		evdns_server_request_add_a_reply(req, name, 1, &ip, 60);
	}
}

/* The first is reachable anywhere, or nowhere. */
static void
answer_aaaa(struct evdns_server_request *req, const char *name, int n, bool reachable)
{
	uint8_t ip[16] = { 0 };

	ip[15] = 1;
	if (!reachable)
		memcpy(ip, "\xfe\x80", 2);	/* link-local without a link */
	for (int i = 0; i < n; i++) {
		evdns_server_request_add_aaaa_reply(req, name, 1, ip, 60);
		memcpy(ip, "\x20\x01\x0d\xb8", 4);
		ip[15]++;
	}
}

/* IPv6 of "slow6.test" is never answered, of "late6.test" when the test likes. */
static void
serve(struct evdns_server_request *req, void *arg)
{
	struct rig *r = arg;
	const struct evdns_server_question *q = req->questions[0];
	bool ip6 = q->type == EVDNS_TYPE_AAAA;
	int code = 0;

	r->asked++;
	snprintf(r->last, sizeof(r->last), "%s", q->name);
	if (!strcasecmp(q->name, "silent.test") || (!strcasecmp(q->name, "slow6.test") && ip6)) {
		evdns_server_request_drop(req);
		return;
	}
	if (!strcasecmp(q->name, "late6.test") && ip6) {
		r->kept = req;
		return;
	}
	if (!strcasecmp(q->name, "both.test") || !strcasecmp(q->name, "db.corp.test"))
		ip6 ? answer_aaaa(req, q->name, 3, true) : answer_a(req, q->name, 2);
	else if (!strcasecmp(q->name, "island.test"))
		ip6 ? answer_aaaa(req, q->name, 2, false) : answer_a(req, q->name, 2);
	else if (!strcasecmp(q->name, "v4.test") || !strcasecmp(q->name, "slow6.test"))
		ip6 ? (void)0 : answer_a(req, q->name, 1);
	else if (!strcasecmp(q->name, "many.test"))
		ip6 ? (void)0 : answer_a(req, q->name, 20);
	else if (!strcasecmp(q->name, "large.test"))
		answer_a(req, q->name, 60);	/* is cut, and says so */
	else if (strcasecmp(q->name, "v6.test") != 0 && strcasecmp(q->name, "late6.test") != 0)
		code = DNS_ERR_NOTEXIST;
	else if (ip6)
		answer_aaaa(req, q->name, 1, true);
	evdns_server_request_respond(req, code);
}

static void
answer_kept(struct rig *r)
{
	answer_aaaa(r->kept, r->kept->questions[0]->name, 1, true);
	evdns_server_request_respond(r->kept, 0);
	r->kept = NULL;
}

/* The C library, which must not leave this machine: it knows one name by TCP, one otherwise. */
static int
ask_library(const char *name, const char *service, const struct addrinfo *hints,
	    struct addrinfo **out)
{
	if (!strcmp(name, "nss.test"))
		return getaddrinfo("192.0.2.77", service, hints, out);
	if (!strcmp(name, "large.test"))
		return getaddrinfo("192.0.2.88", service, hints, out);
	return EAI_NONAME;
}

/* ---- the rig ------------------------------------------------------------------------------ */

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
use_server(struct rig *r, const char *more)
{
	char text[256];

	snprintf(text, sizeof(text), "nameserver 127.0.0.1:%u\n%s", ntohs(r->addr.sin_port), more);
	write_file(r->resolv, text);
}

static void
use_limit(struct rig *r, unsigned ms)
{
	const struct resolver_system system = {
		.resolv_conf = r->resolv,
		.hosts = r->hosts,
		.getaddrinfo = ask_library,
		.ms = ms,
	};

	assert_int_equal(resolver_use(r->loop->worker, &system), 0);
}

static int
setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	socklen_t len = sizeof(r->addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	r->addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (bind(fd, (struct sockaddr *)&r->addr, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&r->addr, &len) < 0)
		return -1;
	r->loop = loop_new();
	r->port = evdns_add_server_port_with_base(r->loop->base, fd, 0, serve, r);
	strcpy(r->folder, "/tmp/adit-resolver-XXXXXX");
	if (!mkdtemp(r->folder))
		return -1;
	snprintf(r->resolv, sizeof(r->resolv), "%s/resolv.conf", r->folder);
	snprintf(r->hosts, sizeof(r->hosts), "%s/hosts", r->folder);
	use_server(r, "search corp.test\n");
	use_limit(r, RESOLVER_MS);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	loop_turn(r->loop, 3);
	evdns_close_server_port(r->port);
	loop_free(r->loop);
	unlink(r->resolv);
	unlink(r->hosts);
	rmdir(r->folder);
	free(r);
	return 0;
}

static void
answered(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct rig *r = arg;

	assert_false(r->calling);
	assert_true(err ? n == 0 : n > 0);
	r->answers++;
	r->err = err;
	r->n = n;
	memcpy(r->addrs, addrs, n * sizeof(*addrs));
}

static struct resolver_query *
ask(struct rig *r, const char *host)
{
	struct resolver_query *q;

	r->answers = 0;
	r->calling = true;
	q = resolver_ask(r->loop->worker, host, answered, r, NULL);
	r->calling = false;
	assert_non_null(q);
	return q;
}

static bool
is_answered(void *arg)
{
	return ((struct rig *)arg)->answers > 0;
}

/* All addresses in one text, or the error's. */
static const char *
looked_up(struct rig *r, const char *host)
{
	static char text[RESOLVER_MAX * ADIT_ADDR_TEXT];
	char one[ADIT_ADDR_TEXT];

	ask(r, host);
	assert_true(loop_until(r->loop, is_answered, r, LIMIT_MS));
	loop_turn(r->loop, 3);
	assert_int_equal(r->answers, 1);
	if (r->err)
		return adit_strerror(r->err);
	*text = 0;
	for (size_t i = 0; i < r->n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, adit_addr_format_ip(&r->addrs[i], one));
	}
	return text;
}

/* ---- without servers ------------------------------------------------------------------------- */

static void
literals_need_nobody(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "192.0.2.7"), "192.0.2.7");
	assert_string_equal(looked_up(r, "2001:db8::7"), "2001:db8::7");
	assert_string_equal(looked_up(r, "[2001:db8::7]"), "2001:db8::7");
	assert_int_equal(r->asked, 0);
}

static void
what_is_no_name_is_not_asked_for(void **state)
{
	struct rig *r = *state;
	char big[300];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	assert_string_equal(looked_up(r, "a b"), "no such host");
	assert_string_equal(looked_up(r, ".test"), "no such host");
	assert_string_equal(looked_up(r, "x\n"), "no such host");
	assert_string_equal(looked_up(r, big), "no such host");
	assert_int_equal(r->asked, 0);
}

static void
localhost_is_here(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "localhost"), "::1 127.0.0.1");
	assert_string_equal(looked_up(r, "LocalHost."), "::1 127.0.0.1");
	assert_string_equal(looked_up(r, "app.localhost"), "::1 127.0.0.1");
	assert_string_equal(looked_up(r, ""), "::1 127.0.0.1");
	assert_int_equal(r->asked, 0);
	write_file(r->hosts, "192.0.2.1 localhost\n192.0.2.2 app.localhost\n");
	assert_string_equal(looked_up(r, "localhost"), "::1 127.0.0.1");
	assert_string_equal(looked_up(r, "app.localhost"), "192.0.2.2");
	assert_string_equal(looked_up(r, "notlocalhost"), "no such host");
}

static void
the_hosts_file_comes_first(void **state)
{
	struct rig *r = *state;

	write_file(r->hosts, "# 192.0.2.9 both.test\n"
			     "192.0.2.33 \t other.test both.test # v6.test\n"
			     "::1 BOTH.test\r\n"
			     "not-an-address both.test\n"
			     "192.0.2.34 both.test.more both.tes\n"
			     "\n"
			     "192.0.2.35 both.test");
	assert_string_equal(looked_up(r, "both.test"),
			    "::1 192.0.2.33 192.0.2.35");
	assert_string_equal(looked_up(r, "Other.Test."), "192.0.2.33");
	assert_int_equal(r->asked, 0);
	assert_string_equal(looked_up(r, "v6.test"), "::1");

	/* It is read again when it has changed. */
	write_file(r->hosts, "192.0.2.99 both.test\n");
	assert_string_equal(looked_up(r, "both.test"), "192.0.2.99");
	unlink(r->hosts);
	assert_string_equal(looked_up(r, "v4.test"), "192.0.2.1");
}

/* ---- with servers ----------------------------------------------------------------------- */

static void
families_take_turns(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "both.test"),
			    "::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3");
	assert_string_equal(looked_up(r, "v6.test"), "::1");
	assert_string_equal(looked_up(r, "v4.test"), "192.0.2.1");
	looked_up(r, "many.test");
	assert_int_equal(r->n, RESOLVER_MAX);
}

static void
what_cannot_be_reached_is_not_first(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "island.test"),
			    "192.0.2.1 fe80::1 192.0.2.2 2001:db8::2");
}

static void
a_name_that_is_not_there(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "missing.test"), "no such host");
	assert_true(r->asked > 0);
}

static void
search_domains_are_tried(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "db"),
			    "::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3");
	assert_string_equal(looked_up(r, "db."), "no such host");
	assert_int_equal(strcasecmp(r->last, "db"), 0);	/* its case is made up, against forgers */
}

static void
one_family_does_not_wait_for_the_other(void **state)
{
	struct rig *r = *state;

	use_limit(r, 10 * LIMIT_MS);
	assert_string_equal(looked_up(r, "slow6.test"), "192.0.2.1");
}

static bool
is_kept(void *arg)
{
	return ((struct rig *)arg)->kept != NULL;
}

/* That there is no IPv4 address is no answer while IPv6's is awaited. */
static void
the_other_family_may_be_late(void **state)
{
	struct rig *r = *state;

	use_limit(r, LIMIT_MS);
	ask(r, "late6.test");
	assert_true(loop_until(r->loop, is_kept, r, LIMIT_MS));
	assert_false(loop_until(r->loop, is_answered, r, 100));
	answer_kept(r);
	assert_true(loop_until(r->loop, is_answered, r, LIMIT_MS));
	assert_int_equal(r->err, 0);
	assert_int_equal(r->n, 1);
}

static void
silence_has_a_limit(void **state)
{
	struct rig *r = *state;

	use_limit(r, 50);
	assert_string_equal(looked_up(r, "silent.test"), "Connection timed out");
}

static void
the_library_is_asked_before_giving_up(void **state)
{
	struct rig *r = *state;

	assert_string_equal(looked_up(r, "nss.test"), "192.0.2.77");
	assert_string_equal(looked_up(r, "large.test"), "192.0.2.88");
}

static void
servers_may_come_later(void **state)
{
	struct rig *r = *state;
	struct resolver_query *first;

	unlink(r->resolv);
	first = ask(r, "both.test");
	loop_turn(r->loop, 3);
	assert_int_equal(r->asked, 0);
	use_server(r, "");
	assert_string_equal(looked_up(r, "v4.test"), "192.0.2.1");
	resolver_cancel(first);
	/* And go, and others come. */
	write_file(r->resolv, "nameserver 127.0.0.1:1\n");
	use_limit(r, 30);
	assert_string_equal(looked_up(r, "both.test"), "Connection timed out");
	use_limit(r, RESOLVER_MS);
	use_server(r, "# again\n");
	assert_string_equal(looked_up(r, "v4.test"), "192.0.2.1");
}

/* ---- no answer wanted ------------------------------------------------------------------- */

static bool
has_been_asked(void *arg)
{
	return ((struct rig *)arg)->asked >= 2;
}

static void
cancelled_is_not_answered(void **state)
{
	static const char *const hosts[] = { "192.0.2.7", "both.test", "missing.test" };
	struct rig *r = *state;
	struct resolver_query *handle;

	for (int i = 0; i < 3; i++)
		resolver_cancel(ask(r, hosts[i]));
	loop_turn(r->loop, 10);
	for (int turns = 0; turns < 5; turns++) {
		handle = ask(r, "silent.test");
		loop_turn(r->loop, turns);
		resolver_cancel(handle);
	}
	r->asked = 0;
	handle = ask(r, "silent.test");
	assert_true(loop_until(r->loop, has_been_asked, r, LIMIT_MS));
	resolver_cancel(handle);
	resolver_cancel(NULL);
	loop_turn(r->loop, 10);
	assert_int_equal(r->answers, 0);
}

static void
the_worker_may_end_meanwhile(void **state)
{
	struct rig *r = *state;

	ask(r, "silent.test");
	ask(r, "both.test");
	resolver_cancel(ask(r, "v4.test"));
	worker_detach(r->loop->worker);
	r->loop->worker = worker_attach(r->loop->base, NULL, NULL);
	assert_non_null(r->loop->worker);
	loop_turn(r->loop, 3);
	assert_int_equal(r->answers, 0);
}

static void
too_many_are_refused(void **state)
{
	struct rig *r = *state;
	struct adit_err e = ADIT_ERR_INIT;
	struct resolver_query **all = calloc(RESOLVER_QUERIES, sizeof(*all));

	assert_non_null(all);
	for (int i = 0; i < RESOLVER_QUERIES; i++)
		all[i] = ask(r, "silent.test");
	assert_null(resolver_ask(r->loop->worker, "v4.test", answered, r, &e));
	assert_int_equal(e.code, ADIT_ELIMIT);
	assert_string_equal(looked_up(r, "192.0.2.9"), "192.0.2.9");
	for (int i = 0; i < RESOLVER_QUERIES; i++)
		resolver_cancel(all[i]);
	assert_string_equal(looked_up(r, "v4.test"), "192.0.2.1");
	free(all);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(literals_need_nobody),
		TEST(what_is_no_name_is_not_asked_for),
		TEST(localhost_is_here),
		TEST(the_hosts_file_comes_first),
		TEST(families_take_turns),
		TEST(what_cannot_be_reached_is_not_first),
		TEST(a_name_that_is_not_there),
		TEST(search_domains_are_tried),
		TEST(one_family_does_not_wait_for_the_other),
		TEST(the_other_family_may_be_late),
		TEST(silence_has_a_limit),
		TEST(the_library_is_asked_before_giving_up),
		TEST(servers_may_come_later),
		TEST(cancelled_is_not_answered),
		TEST(the_worker_may_end_meanwhile),
		TEST(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
