#include "tests/unit/visit_stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "core/conn/opening.h"
#include "core/tunnel/kept.h"

#define A           "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define B           "6a9f1d3c-0e5b-4a7d-9c28-1f3b5d7e9012"
#define C           "00000000-0000-4000-8000-00000000000c"
#define LIMIT_MS    10000
#define QUIET_TURNS 12

/* ---- sessions -------------------------------------------------------------------- */

static void
stream_cancelled(void *arg)
{
	struct stage *t = arg;

	t->waiting = NULL;
}

static struct adit_conn *
member_open(void *session, const struct adit_open *req, struct adit_err *e)
{
	struct stage_member *m = session;
	struct stage *t = m->stage;
	struct stage_stream *s = &t->streams[t->opens++];

	assert_true(t->opens <= STAGE_STREAMS);
	if (t->refuse) {
		adit_err_set(e, t->refuse, "refused");
		return NULL;
	}
	s->tunnel = m->tunnel;
	s->port = req->port;
	s->from = req->from;
	snprintf(s->host, sizeof(s->host), "%s", req->host);
	if (t->later) {
		t->waiting = opening_new(t->loop->worker, stream_cancelled, t);
		return t->waiting;
	}
	return wire_end_init(&s->end, t->loop);
}

static void
member_join_as(struct stage_member *m, struct adit_member member)
{
	member.network = ADIT_TCP;
	member.open = member_open;
	member.session = m;
	m->number = adit_tunnel_join(m->stage->loop->worker, &member);
	assert_int_not_equal(m->number, 0);
}

static void
member_join(struct stage_member *m, const char *tunnel, bool visitor_address)
{
	member_join_as(m, (struct adit_member){
		.tunnel = tunnel, .visitor_address = visitor_address,
	});
}

void
stage_leave(struct stage *t)
{
	adit_tunnel_leave(t->loop->worker, t->a.number);
	t->a.number = 0;
}

void
stage_join(struct stage *t)
{
	member_join(&t->a, A, false);
}

void
stage_join_exclusive(struct stage *t)
{
	member_join_as(&t->b, (struct adit_member){ .tunnel = A, .weight = ADIT_WEIGHT_EXCLUSIVE });
}

void
stage_choose_a(struct stage *t)
{
	strcpy(t->start.tunnel, A);
	t->start.choice.session = t->a.number;
}

void
stage_visitor_address(struct stage *t)
{
	stage_leave(t);
	member_join(&t->a, A, true);
}

/* ---- the fixture -------------------------------------------------------------------- */

static int
stage_lookup(void *arg, struct adit_worker *w, const char *host, struct adit_rule *out)
{
	static const struct {
		const char *host, *tunnel;
	} rules[] = {
		{ "a.example", A }, { "a2.example", A }, { "p.example", A },
		{ "b.example", B }, { "c.example", C },
	};

	(void)arg;
	(void)w;
	*out = (struct adit_rule){ .private_ = *host == 'p' };
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (strcmp(rules[i].host, host) == 0)
			return adit_uuid_parse(rules[i].tunnel, false, &out->tunnel);
	return ADIT_ENOROUTE;
}

int
stage_setup(void **state)
{
	struct stage *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->loop = loop_new();
	component_init(&t->component, "entry", NULL, NULL);
	t->component.activities = &t->activities;
	atomic_init(&t->shared.refs, 1);
	strcpy(t->tally, "entry");
	t->shared.tally = t->tally;
	t->shared.conf = (struct entry_conf){
		.component = &t->component,
		.node = "here",
		.lookup = stage_lookup,
		.arg = t,
		.read_timeout = ADIT_SECONDS(10),
		.keepalive = true,
	};
	t->a = (struct stage_member){ .stage = t, .tunnel = 'A' };
	t->b = (struct stage_member){ .stage = t, .tunnel = 'B' };
	t->c = (struct stage_member){ .stage = t, .tunnel = 'C' };
	member_join(&t->a, A, false);
	member_join(&t->c, C, false);
	*state = t;
	return 0;
}

int
stage_teardown(void **state)
{
	struct stage *t = *state;

	for (unsigned i = 0; i < t->n_visitors; i++) {
		wire_end_fini(t->visitors[i]);
		free(t->visitors[i]);
	}
	loop_turn(t->loop, QUIET_TURNS);
	t->refuse = ADIT_ELIMIT; /* none is opened instead of one that is closed now */
	for (unsigned i = 0; i < STAGE_STREAMS; i++)
		wire_end_fini(&t->streams[i].end);
	loop_turn(t->loop, QUIET_TURNS);
	assert_int_equal(t->activities.n, 0);
	kept_drop(t->loop->worker, 0);
	stage_leave(t);
	adit_tunnel_leave(t->loop->worker, t->b.number);
	adit_tunnel_leave(t->loop->worker, t->c.number);
	loop_free(t->loop);
	assert_int_equal(t->shared.refs, 1);
	assert_int_equal(t->component.refs, 1);
	free(t);
	return 0;
}

/* ---- what tests do ---------------------------------------------------------------------- */

struct wire_end *
stage_visitor(struct stage *t, const char *ip)
{
	struct wire_end *end = calloc(1, sizeof(*end));
	struct adit_conn *far;
	struct adit_addr remote;

	assert_non_null(end);
	assert_true(t->n_visitors < sizeof(t->visitors) / sizeof(*t->visitors));
	t->visitors[t->n_visitors++] = end;
	assert_int_equal(adit_addr_parse(ip ? ip : "192.0.2.1", 1000, &remote), 0);
	far = wire_end_init(end, t->loop);
	adit_conn_set_remote(far, &remote);
	visit_http(&t->shared, far, &t->start);
	return end;
}

/* All that can be seen of what goes on. */
static size_t
stage_progress(const struct stage *t)
{
	size_t sum = t->opens;

	for (unsigned i = 0; i < t->n_visitors; i++)
		sum += t->visitors[i]->len + t->visitors[i]->ended + (t->visitors[i]->err != 0);
	for (unsigned i = 0; i < STAGE_STREAMS; i++)
		sum += t->streams[i].end.len + t->streams[i].end.ended +
		       (t->streams[i].end.err != 0);
	return sum;
}

void
stage_settle(struct stage *t)
{
	size_t before = stage_progress(t);

	for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
		size_t now;

		loop_turn(t->loop, 1);
		now = stage_progress(t);
		if (now != before)
			quiet = 0;
		before = now;
	}
}

void
stage_say_bytes(struct stage *t, struct wire_end *end, const void *bytes, size_t len)
{
	wire_end_send(end, bytes, len);
	stage_settle(t);
}

void
stage_say(struct stage *t, struct wire_end *end, const char *text)
{
	stage_say_bytes(t, end, text, strlen(text));
}

void
stage_close(struct stage *t, struct wire_end *end, int why)
{
	wire_end_close(end, why);
	stage_settle(t);
}

void
stage_forget(struct wire_end *end)
{
	wire_end_drop(end, end->len);
}

/* The Date of an answer of ours, which no test can know. */
static void
stage_drop_date(struct wire_end *end)
{
	char *date = end->got ? strstr(end->got, "\r\nDate: ") : NULL;
	char *next = date ? strstr(date + 2, "\r\n") : NULL;

	if (!next)
		return;
	memmove(date, next, end->len - (size_t)(next - end->got) + 1);
	end->len -= (size_t)(next - date);
}

void
stage_expect_begin(struct stage *t, struct wire_end *end, const char *text)
{
	size_t len = strlen(text);

	stage_settle(t);
	stage_drop_date(end);
	if (end->len < len || memcmp(end->got, text, len) != 0)
		assert_string_equal(end->got ? end->got : "", text);
	wire_end_drop(end, len);
}

static void
stage_expect_all(struct stage *t, struct wire_end *end, const char *text)
{
	stage_settle(t);
	stage_drop_date(end);
	assert_string_equal(end->got ? end->got : "", text);
	stage_forget(end);
}

void
stage_expect(struct stage *t, struct wire_end *end, const char *text)
{
	stage_expect_all(t, end, text);
	assert_false(end->ended);
	assert_int_equal(end->err, 0);
}

void
stage_expect_last(struct stage *t, struct wire_end *end, const char *text)
{
	stage_expect_all(t, end, text);
	assert_true(end->ended);
}

struct stage_wait {
	struct wire_end *end;
	size_t len;
};

static bool
has_come(void *arg)
{
	const struct stage_wait *w = arg;

	return w->end->len > w->len || w->end->ended || w->end->err;
}

void
stage_await(struct stage *t, struct wire_end *end)
{
	struct stage_wait w = { .end = end, .len = end->len };

	assert_true(loop_until(t->loop, has_come, &w, LIMIT_MS));
	stage_settle(t);
}
