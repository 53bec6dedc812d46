#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/conn/opening.h"
#include "core/http/front.h"
#include "core/http/respond.h"
#include "tests/unit/h1_side.h"

/* A visitor's wire, the front, the far side's wire. */
struct bed {
	struct side		*near, *far;
	struct adit_fields	*request;
	struct front		*front;
	struct front_result	 result;
	bool			 done;
};

static void
done(void *arg, const struct front_result *r)
{
	struct bed *b = arg;

	assert_false(b->done);
	b->done = true;
	b->result = *r;
}

/* Joins the visitor's request, which has arrived, with a new exchange of far. */
static void
join(struct bed *b, const struct front_opts *opts)
{
	struct adit_exchange *near = b->near->x;

	side_open(b->far);
	b->near->x = NULL;
	b->done = false;
	b->front = http_front(near, b->far->x, b->request, opts, done, b);
	b->far->x = NULL;
	assert_non_null(b->front);
}

static void
request(struct bed *b, const char *text)
{
	side_send(b->near, text);
	side_settle(b->near);
	assert_non_null(b->near->x);
	adit_fields_free(b->request);
	b->request = adit_fields_copy(b->near->fields);
	assert_non_null(b->request);
	assert_int_equal(h1_strip_hop_by_hop(b->request, true), 0);
}

static struct bed *
bed_new(struct loop *l, bool cut)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->near = side_server(l, NULL, cut);
	b->far = side_client(l, NULL, cut);
	b->near->hands_off = true;
	b->far->hands_off = true;
	return b;
}

static void
bed_free(struct bed *b)
{
	if (b->front && !b->done) {
		http_front_stop(b->front, -ECANCELED);
		side_settle(b->near);
		assert_true(b->done);
	}
	if (b->done && b->result.near)
		adit_conn_close(&b->result.near->body, -ECANCELED);
	adit_fields_free(b->request);
	side_free(b->near);
	side_free(b->far);
	free(b);
}

static void
requests_pass(void **state)
{
	for (int cut = 0; cut < 2; cut++) {
		struct bed *b = bed_new(*state, cut);

		for (int i = 0; i < 2; i++) {
			request(b, "GET /x HTTP/1.1\r\nHost: a.b\r\nConnection: X\r\nX: 1\r\nY: "
				   "2\r\n\r\n");
			join(b, NULL);
			side_expect(b->far, "GET /x HTTP/1.1\r\nHost: a.b\r\nY: 2\r\n\r\n");
			side_send(b->far, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nKeep-Alive: "
					  "1\r\n\r\nhello");
			side_settle(b->far);
			side_expect(b->near, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\nhello");
			assert_true(b->done);
			assert_null(b->result.near);
			assert_int_equal(b->result.err, 0);
			assert_int_equal(b->result.status, 200);
			assert_int_equal(b->result.stats.bytes[0], 0);
			assert_int_equal(b->result.stats.bytes[1], 5);
			assert_true(h1_client_idle(b->far->mux));
			/* A message is one write, its body included. */
			if (!cut)
				assert_int_equal(b->near->wire_reads, i + 1);
			if (!cut)
				assert_int_equal(b->far->wire_reads, i + 1);
		}
		bed_free(b);
	}
}

static void
bodies_and_trailers_pass(void **state)
{
	for (int cut = 0; cut < 2; cut++) {
		struct bed *b = bed_new(*state, cut);

		request(b, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			   "chunked\r\n\r\n3\r\nabc\r\n");
		join(b, NULL);
		side_settle(b->far);
		side_send(b->near, "2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n");
		side_settle(b->near);
		side_expect(b->far, cut ? "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
					  "chunked\r\n\r\n"
					  "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n0\r\nX"
					  "-Sum: 5\r\n\r\n"
					: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
					  "chunked\r\n\r\n"
					  "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n");
		side_send(b->far, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n"
				  "Transfer-Encoding: chunked\r\nTrailer: "
				  "X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\r\n");
		side_settle(b->far);
		side_settle(b->near);
		assert_non_null(strstr(b->near->got.s, "HTTP/1.1 103 Early Hints\r\nLink: "
						       "<a>\r\n\r\n"
						       "HTTP/1.1 200 OK\r\nTrailer: X-End\r\n"
						       "Transfer-Encoding: chunked\r\n\r\n"));
		assert_non_null(strstr(b->near->got.s, "\r\n0\r\nX-End: 1\r\n\r\n"));
		assert_true(b->done);
		assert_int_equal(b->result.err, 0);
		assert_int_equal(b->result.stats.bytes[0], 5);
		assert_int_equal(b->result.stats.bytes[1], 2);
		assert_non_null(b->near->mux);
		assert_true(h1_client_idle(b->far->mux));
		bed_free(b);
	}
}

/* Byte for byte as it was, whatever the pieces. */
static void
large_bodies_pass_whole(void **state)
{
	struct bed *b = bed_new(*state, false);
	static char block[100003];
	char head[128];
	size_t start;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)('a' + i % 23);
	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, NULL);
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	for (int i = 0; i < 20; i++)
		side_send_bytes(b->far, block, sizeof(block));
	adit_conn_shutdown(b->far->wire);
	side_settle(b->far);
	side_settle(b->near);
	assert_true(b->done);
	assert_int_equal(b->result.stats.bytes[1], 20 * sizeof(block));
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	start = strlen(head);
	assert_memory_equal(b->near->got.s, head, start);
	assert_memory_equal(b->near->got.s + b->near->got.len - 5, "0\r\n\r\n", 5);
	/* The chunks' own framing is little: nothing was passed in small change. */
	assert_true(b->near->got.len - start < 20 * sizeof(block) + 20000);
	bed_free(b);
}

static void
head_requests_pass(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, NULL);
	side_expect(b->far, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_send(b->far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	assert_true(b->done);
	assert_true(h1_client_idle(b->far->mux));
	bed_free(b);
}

static void
upgrades_pass(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade, Y\r\nY: "
		   "1\r\n\r\nearly");
	join(b, NULL);
	side_expect(b->far, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: "
			    "Upgrade\r\n\r\n");
	side_send(b->far, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: "
			  "Upgrade\r\n\r\nhi");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: "
			     "Upgrade\r\n\r\nhi");
	side_expect(b->far, "early");
	side_send(b->near, "ping");
	side_expect(b->far, "ping");
	adit_conn_shutdown(b->near->wire);
	side_settle(b->near);
	assert_true(b->far->wire_ended);
	side_send(b->far, "last");
	adit_conn_shutdown(b->far->wire);
	side_settle(b->far);
	side_expect(b->near, "last");
	assert_true(b->done);
	assert_int_equal(b->result.status, 101);
	assert_int_equal(b->result.err, 0);
	bed_free(b);
}

static void
expect_bytes(struct adit_conn *c, const char *text)
{
	char buf[64];

	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
	assert_int_equal(adit_conn_read(c, buf, sizeof(buf)), -EAGAIN);
}

/* Nothing of HTTP is left then, and what came too early on either side is not lost. */
static void
an_upgrade_leaves_the_connections(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nearly");
	join(b, &(struct front_opts){ .leave = true });
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: "
			  "Upgrade\r\n\r\nhi");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: "
			     "Upgrade\r\n\r\n");
	assert_true(b->done);
	assert_int_equal(b->result.status, 101);
	assert_int_equal(b->result.err, 0);
	assert_null(b->result.near);
	assert_non_null(b->result.raw[0]);
	expect_bytes(b->result.raw[0], "early");
	expect_bytes(b->result.raw[1], "hi");
	assert_int_equal(b->near->mux_err, -ESHUTDOWN);
	assert_int_equal(b->far->mux_err, -ESHUTDOWN);
	adit_conn_close(b->result.raw[0], 0);
	adit_conn_close(b->result.raw[1], 0);
	bed_free(b);
}

/* Any other response is joined as ever. */
static void
a_refused_upgrade_leaves_nothing(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
	join(b, &(struct front_opts){ .leave = true });
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	assert_true(b->done);
	assert_null(b->result.raw[0]);
	assert_null(b->result.raw[1]);
	bed_free(b);
}

/* A kept connection that was closed meanwhile: another one serves the request. */
static void
a_dead_connection_is_replaced(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, NULL);
	side_settle(b->far);
	adit_conn_close(b->far->wire, 0);
	b->far->wire = NULL;
	side_settle(b->far);
	assert_true(b->done);
	assert_non_null(b->result.near);
	assert_true(b->result.again);
	assert_int_equal(b->result.err, -ECONNRESET);
	assert_false(b->result.by_near);
	side_free(b->far);
	b->far = side_client(*state, NULL, false);
	b->far->hands_off = true;
	b->near->x = b->result.near;
	join(b, NULL);
	side_expect(b->far, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	side_send(b->far, "HTTP/1.1 204 No Content\r\n\r\n");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_int_equal(b->result.status, 204);
	bed_free(b);
}

/* What the far side says it has not looked at may go to another, whatever the method. */
static void
what_was_not_processed_may_be_sent_again(void **state)
{
	static const struct { const char *request; int err; bool again;
	} rows[] = {
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ADIT_EDRAINING, true },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ADIT_EPEERDEAD,
		  false },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", ADIT_EDRAINING,
		  false },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ADIT_EPEERDEAD, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bed *b = bed_new(*state, false);

		request(b, rows[i].request);
		join(b, NULL);
		side_settle(b->far);
		adit_mux_close(b->far->mux, &(struct adit_reason){ .err = rows[i].err });
		b->far->mux = NULL;
		side_settle(b->far);
		assert_true(b->done);
		assert_int_equal(b->result.err, rows[i].err);
		assert_int_equal(b->result.again, rows[i].again);
		bed_free(b);
	}
}

static void
what_may_not_be_repeated_is_not(void **state)
{
	static const struct { const char *request, *answer; bool again;
	} rows[] = {
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "", false },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "", false },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "", true },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 101 No\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 2", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bed *b = bed_new(*state, false);

		request(b, rows[i].request);
		join(b, NULL);
		side_settle(b->far);
		side_send(b->far, rows[i].answer);
		adit_conn_shutdown(b->far->wire);
		side_settle(b->far);
		assert_true(b->done);
		assert_non_null(b->result.near);
		assert_int_equal(b->result.again, rows[i].again);
		assert_int_equal(http_respond(b->result.near, http_status_of(b->result.err),
					      "no answer", NULL),
				 0);
		adit_conn_close(&b->result.near->body, 0);
		b->result.near = NULL;
		side_settle(b->near);
		assert_true(strncmp(b->near->got.s, "HTTP/1.1 502 Bad Gateway\r\n", 26) == 0);
		assert_non_null(strstr(b->near->got.s, "\r\n\r\nno answer\n"));
		bed_free(b);
	}
}

static void
a_broken_answer_is_seen_as_broken(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, NULL);
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	adit_conn_shutdown(b->far->wire);
	side_settle(b->far);
	side_settle(b->near);
	assert_true(b->done);
	assert_null(b->result.near);
	assert_int_equal(b->result.err, ADIT_ETRUNCATED);
	assert_false(b->result.by_near);
	assert_int_equal(b->result.status, 200);
	assert_int_not_equal(b->near->wire_err, 0);
	bed_free(b);
}

static void
a_visitor_that_goes_is_noticed(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, NULL);
	side_settle(b->far);
	adit_conn_close(b->near->wire, -ECONNRESET);
	b->near->wire = NULL;
	side_settle(b->near);
	assert_true(b->done);
	assert_null(b->result.near);
	assert_true(b->result.by_near);
	assert_int_equal(b->result.err, -ECONNRESET);
	side_settle(b->far);
	assert_int_equal(b->far->wire_err, -ECONNRESET);
	bed_free(b);
}

static void
turn_until_done(struct bed *b)
{
	for (int i = 0; !b->done && i < 1000000; i++)
		loop_turn(b->near->loop, 1);
	assert_true(b->done);
}

/* A 100 or 103 promises nothing: a target that fails after it still gets the visitor a status. */
static void
an_interim_answer_is_no_answer(void **state)
{
	for (int silent = 0; silent < 2; silent++) {
		const struct front_opts opts = { .head_timeout = ADIT_MS(50) };
		struct bed *b = bed_new(*state, false);

		request(b, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
			   "Expect: 100-continue\r\n\r\n");
		join(b, silent ? &opts : NULL);
		side_settle(b->far);
		side_send(b->far, "HTTP/1.1 100 Continue\r\n\r\n");
		side_settle(b->far);
		side_expect(b->near, "HTTP/1.1 100 Continue\r\n\r\n");
		if (!silent)
			adit_conn_shutdown(b->far->wire);
		turn_until_done(b);
		assert_non_null(b->result.near);
		assert_false(b->result.again);
		assert_int_equal(b->result.status, 0);
		assert_int_equal(http_respond(b->result.near, http_status_of(b->result.err),
					      "no answer", NULL),
				 0);
		adit_conn_close(&b->result.near->body, 0);
		b->result.near = NULL;
		side_settle(b->near);
		assert_memory_equal(b->near->got.s, silent ? "HTTP/1.1 504 " : "HTTP/1.1 502 ", 13);
		/* He was told to go on, and did not. */
		assert_int_equal(b->result.unfinished, silent);
		bed_free(b);
	}
}

static void
an_answer_is_not_awaited_for_ever(void **state)
{
	static const struct front_opts opts = { .head_timeout = ADIT_MS(20) };
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
	};

	for (int i = 0; i < 2; i++) {
		struct bed *b = bed_new(*state, false);

		request(b, requests[i]);
		join(b, &opts);
		turn_until_done(b);
		assert_non_null(b->result.near);
		assert_int_equal(b->result.err, -ETIMEDOUT);
		assert_int_equal(http_status_of(b->result.err), 504);
		assert_false(b->result.again);		/* the target may be at work */
		bed_free(b);
	}
}

/* The visitor's request stops half way: that is not the target's fault. */
static void
a_request_is_not_awaited_for_ever(void **state)
{
	static const struct front_opts opts = { .head_timeout = ADIT_MS(20) };
	static const struct {
		const char	*request;
		bool		 unfinished;
	} rows[] = {
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", true },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", true },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", false },
		{ ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
		  true },
		{ ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
		   "0\r\n\r\n"), false },
		/* He waits for the target's word. */
		{ ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue"
		   "\r\n\r\n"), false },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bed *b = bed_new(*state, false);

		request(b, rows[i].request);
		join(b, &opts);
		turn_until_done(b);
		assert_non_null(b->result.near);
		assert_int_equal(b->result.err, -ETIMEDOUT);
		assert_false(b->result.by_near);
		if (b->result.unfinished != rows[i].unfinished)
			fail_msg("%s", rows[i].request);
		bed_free(b);
	}
}

/* More than all queues hold: what the target does not take is no fault of the visitor. */
static void
a_target_that_does_not_read_is_not_the_visitors_fault(void **state)
{
	static const struct front_opts opts = { .head_timeout = ADIT_MS(50) };
	static uint8_t much[60000];
	struct bed *b = bed_new(*state, false);
	ssize_t n = 1;

	request(b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
	b->far->wire_paused = true;
	join(b, &opts);
	for (int i = 0; i < 1000; i++) {
		n = adit_conn_write(b->near->wire, much, sizeof(much));
		loop_turn(*state, 2);
		if (n < 0)
			break;
	}
	assert_int_equal(n, -EAGAIN);
	turn_until_done(b);
	assert_non_null(b->result.near);
	assert_int_equal(b->result.err, -ETIMEDOUT);
	assert_false(b->result.unfinished);
	bed_free(b);
}

/* Events that come once an hour: that the request has ended is no sign that the response will. */
static void
a_response_may_be_silent(void **state)
{
	static const struct front_opts opts = {
		.head_timeout = ADIT_MS(10), .half_closed = ADIT_MS(10),
	};
	struct bed *b = bed_new(*state, false);
	uint64_t start;

	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, &opts);
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
	for (start = adit_now(); adit_now() - start < ADIT_MS(50);)
		loop_turn(b->near->loop, 1);
	assert_false(b->done);
	side_send(b->far, "b");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
	assert_true(b->done);
	bed_free(b);
}

static void
a_request_that_nobody_awaits_may_not(void **state)
{
	static const struct front_opts opts = { .half_closed = ADIT_MS(10) };
	struct bed *b = bed_new(*state, false);

	request(b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab");
	join(b, &opts);
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_false(b->done);
	turn_until_done(b);
	assert_int_equal(b->result.err, 0);
	assert_int_equal(b->result.status, 200);
	bed_free(b);
}

/* A server may answer before it has read all, and close. */
static void
an_early_answer_passes(void **state)
{
	struct bed *b = bed_new(*state, false);
	static char block[65536];

	request(b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
	join(b, NULL);
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: "
			  "close\r\n\r\nno");
	adit_conn_close(b->far->wire, 0);
	b->far->wire = NULL;
	for (int i = 0; i < 8 && !b->done; i++) {
		adit_conn_write(b->near->wire, block, sizeof(block));
		side_settle(b->near);
	}
	side_expect(b->near, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	assert_true(b->done);
	assert_int_equal(b->result.err, 0);
	assert_int_equal(b->result.status, 413);
	assert_int_equal(b->near->wire_err, 0);
	bed_free(b);
}

static void
stopping_gives_near_back(void **state)
{
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, NULL);
	http_front_stop(b->front, 0);
	assert_false(b->done);
	side_settle(b->near);
	assert_true(b->done);
	assert_int_equal(b->result.err, ADIT_ESTOPPED);
	assert_non_null(b->result.near);
	bed_free(b);
}

/* A far side that is still being opened, and then is not. */
static void
a_far_side_may_fail_to_open(void **state)
{
	struct loop *l = *state;
	struct bed *b = bed_new(l, false);
	struct adit_conn *lower = opening_new(l->worker, NULL, NULL);
	struct adit_mux *m = h1_client(lower, NULL);
	struct adit_conn *x = adit_mux_open(m, ADIT_CONN_EXCHANGE, NULL);

	request(b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
	assert_non_null(x);
	b->front = http_front(b->near->x, adit_exchange_of(x), b->request, NULL, done, b);
	b->near->x = NULL;
	side_settle(b->near);
	assert_false(b->done);
	opening_fail(lower, -ECONNREFUSED);
	side_settle(b->near);
	assert_true(b->done);
	assert_int_equal(b->result.err, -ECONNREFUSED);
	assert_true(b->result.again);		/* nothing was sent */
	assert_non_null(b->result.near);
	adit_mux_close(m, NULL);
	b->near->x = b->result.near;
	join(b, NULL);
	side_expect(b->far, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
	bed_free(b);
}

static int
add_field(void *arg, struct adit_fields *response)
{
	(void)arg;
	return adit_fields_set(response, "X-Front", "1");
}

static void
answers_may_be_edited(void **state)
{
	static const struct front_opts opts = { .edit = add_field };
	struct bed *b = bed_new(*state, false);

	request(b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	join(b, &opts);
	side_settle(b->far);
	side_send(b->far, "HTTP/1.1 304 Not Modified\r\n\r\n");
	side_settle(b->far);
	side_expect(b->near, "HTTP/1.1 304 Not Modified\r\nX-Front: 1\r\n\r\n");
	bed_free(b);
}

static void
failures_have_a_status(void **state)
{
	(void)state;
	assert_int_equal(http_status_of(-ECONNREFUSED), 502);
	assert_int_equal(http_status_of(ADIT_ENOTUNNEL), 503);
	assert_int_equal(http_status_of(-ETIMEDOUT), 504);
	assert_true(http_is_idempotent((struct adit_text){ "GET", 3 }));
	assert_false(http_is_idempotent((struct adit_text){ "POST", 4 }));
	assert_false(http_is_idempotent((struct adit_text){ "GE", 2 }));
	assert_true(http_is_idempotent((struct adit_text){ "DELETE", 6 }));
	assert_true(http_is_safe((struct adit_text){ "TRACE", 5 }));
	assert_false(http_is_safe((struct adit_text){ "PUT", 3 }));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		TEST(requests_pass),
		TEST(bodies_and_trailers_pass),
		TEST(large_bodies_pass_whole),
		TEST(head_requests_pass),
		TEST(upgrades_pass),
		TEST(an_upgrade_leaves_the_connections),
		TEST(a_refused_upgrade_leaves_nothing),
		TEST(a_dead_connection_is_replaced),
		TEST(what_was_not_processed_may_be_sent_again),
		TEST(what_may_not_be_repeated_is_not),
		TEST(an_interim_answer_is_no_answer),
		TEST(a_broken_answer_is_seen_as_broken),
		TEST(a_visitor_that_goes_is_noticed),
		TEST(an_answer_is_not_awaited_for_ever),
		TEST(a_request_is_not_awaited_for_ever),
		TEST(a_target_that_does_not_read_is_not_the_visitors_fault),
		TEST(a_response_may_be_silent),
		TEST(a_request_that_nobody_awaits_may_not),
		TEST(an_early_answer_passes),
		TEST(stopping_gives_near_back),
		TEST(a_far_side_may_fail_to_open),
		TEST(answers_may_be_edited),
		cmocka_unit_test(failures_have_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
