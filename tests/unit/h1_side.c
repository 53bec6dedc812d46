#include "tests/unit/h1_side.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/jitter.h"

#define WIRE_CAP 65536

static void
text_add(struct side_text *t, const void *p, size_t len)
{
	if (t->len + len + 1 > t->room) {
		t->room = 2 * (t->len + len + 1);
		t->s = realloc(t->s, t->room);
		assert_non_null(t->s);
	}
	memcpy(t->s + t->len, p, len);
	t->len += len;
	t->s[t->len] = 0;
}

static void
text_clear(struct side_text *t)
{
	t->len = 0;
	text_add(t, "", 0);
}

/* ---- the wire ------------------------------------------------------------------------ */

static void
wire_want(struct side *s)
{
	if (s->wire)
		adit_conn_want(s->wire,
			       s->wire_paused || s->wire_ended || s->wire_err ? 0 : ADIT_READ);
}

static void
wire_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct side *s = owner;
	char buf[8192];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	(void)events;
	s->wire_reads += n > 0;
	if (n > 0)
		text_add(&s->got, buf, (size_t)n);
	else if (n == 0)
		s->wire_ended = true;
	else if (n != -EAGAIN)
		s->wire_err = (int)n;
	wire_want(s);
}

void
side_send_bytes(struct side *s, const void *p, size_t len)
{
	const char *from = p;

	while (len) {
		ssize_t n = adit_conn_write(s->wire, from, len);

		if (n == -EAGAIN) {
			side_settle(s);
			n = adit_conn_write(s->wire, from, len);
		}
		assert_true(n > 0);
		from += n;
		len -= (size_t)n;
	}
}

void
side_send(struct side *s, const char *text)
{
	side_send_bytes(s, text, strlen(text));
}

/* ---- the exchange ----------------------------------------------------------------------- */

static void
text_add_text(struct side_text *t, struct adit_text text, const char *end)
{
	text_add(t, text.s ? text.s : "-", text.s ? text.len : 1);
	text_add(t, end, strlen(end));
}

static void
heads_add(struct side_text *t, const struct adit_fields *f)
{
	char line[64];

	if (adit_fields_control(f, ADIT_METHOD).s) {
		text_add_text(t, adit_fields_control(f, ADIT_METHOD), " ");
		text_add_text(t, adit_fields_control(f, ADIT_SCHEME), " ");
		text_add_text(t, adit_fields_control(f, ADIT_AUTHORITY), " ");
		text_add_text(t, adit_fields_control(f, ADIT_TARGET), " ");
		snprintf(line, sizeof(line), "%d\n", adit_fields_version(f));
	} else if (adit_fields_status(f)) {
		snprintf(line, sizeof(line), "%d %d\n", adit_fields_status(f),
			 adit_fields_version(f));
	} else {
		snprintf(line, sizeof(line), "trailers\n");
	}
	text_add(t, line, strlen(line));
	for (size_t i = 0; i < adit_fields_count(f); i++) {
		text_add_text(t, adit_fields_at(f, i)->name, ": ");
		text_add_text(t, adit_fields_at(f, i)->value, "\n");
	}
	text_add(t, "\n", 1);
}

static void
x_want(struct side *s)
{
	unsigned events = s->hands_off && s->fields ? 0 : ADIT_HEAD;

	if (!s->x || s->x_err)
		return;
	if (!s->hands_off && !s->paused && !s->body_ended)
		events |= ADIT_READ;
	adit_conn_want(&s->x->body, events);
}

static void
x_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct side *s = owner;
	const struct adit_fields *f;
	char buf[4096];
	ssize_t n = -EAGAIN;

	if (events & ADIT_HEAD)
		while ((f = adit_exchange_head(s->x))) {
			heads_add(&s->heads, f);
			s->fields = f;
			if (s->hands_off)
				break;		/* its fields are wanted: until the next */
		}
	if (s->hands_off) {
		adit_conn_want(c, 0);
		return;
	}
	if ((events & ADIT_READ) && !s->paused && !s->body_ended)
		n = adit_conn_read(c, buf, sizeof(buf));
	if (n > 0)
		text_add(&s->body, buf, (size_t)n);
	if (n == 0)
		s->body_ended = true;
	if (adit_conn_err(c) && (n < 0 || s->body_ended)) {
		s->x_err = adit_conn_err(c);
		s->failures++;
		adit_conn_want(c, 0);
		return;
	}
	x_want(s);
}

static void
x_own(struct side *s, struct adit_conn *c)
{
	s->x = adit_exchange_of(c);
	assert_non_null(s->x);
	s->body_ended = false;
	s->fields = NULL;
	s->x_err = 0;
	adit_conn_own(c, x_event, s);
	x_want(s);
}

/* One exchange at a time; the end of the mux is told as any event. */
static void
mux_want(struct side *s)
{
	if (s->mux)
		adit_mux_want(s->mux, s->server && s->x ? ADIT_WRITE : ADIT_READ);
}

static void
mux_event(void *owner, struct adit_mux *m, unsigned events)
{
	struct side *s = owner;
	struct adit_conn *c = NULL;

	if ((events & ADIT_READ) && !s->x)
		c = adit_mux_accept(m);
	if (c) {
		s->accepted++;
		x_own(s, c);
	}
	if (adit_mux_err(m)) {
		s->mux_err = adit_mux_err(m);
		s->mux = NULL;
		adit_mux_close(m, NULL);
	}
	mux_want(s);
}

/* ---- both ----------------------------------------------------------------------------------- */

static struct side *
side_new(struct loop *l, bool server, const struct h1_conf *conf, bool cut)
{
	struct side *s = calloc(1, sizeof(*s));
	struct adit_conn *lower;

	assert_non_null(s);
	s->loop = l;
	s->server = server;
	assert_int_equal(adit_conn_pair(l->worker, l->worker, WIRE_CAP, &s->wire, &lower), 0);
	if (cut)
		lower = jitter_conn(lower, &(struct jitter_opts){ .read_max = 1, .write_max = 1 });
	assert_non_null(lower);
	s->mux = server ? h1_server(lower, conf) : h1_client(lower, conf);
	assert_non_null(s->mux);
	text_clear(&s->got);
	text_clear(&s->heads);
	text_clear(&s->body);
	adit_conn_own(s->wire, wire_event, s);
	wire_want(s);
	adit_mux_own(s->mux, mux_event, s);
	side_settle(s);
	return s;
}

struct side *
side_server(struct loop *l, const struct h1_conf *conf, bool cut)
{
	return side_new(l, true, conf, cut);
}

struct side *
side_client(struct loop *l, const struct h1_conf *conf, bool cut)
{
	return side_new(l, false, conf, cut);
}

void
side_free(struct side *s)
{
	if (s->x)
		adit_conn_close(&s->x->body, 0);
	adit_mux_close(s->mux, NULL);
	adit_conn_close(s->wire, 0);
	loop_turn(s->loop, 4);
	free(s->got.s);
	free(s->heads.s);
	free(s->body.s);
	free(s);
}

/* Everything that has been seen, as a number. */
static size_t
side_seen(const struct side *s)
{
	return s->got.len + s->heads.len + s->body.len + s->wire_ended + s->body_ended +
	       s->accepted + s->failures + !s->mux + !!s->wire_err;
}

void
side_settle(struct side *s)
{
	size_t before;
	int quiet = 0;

	while (quiet < 8) {
		before = side_seen(s);
		wire_want(s);
		x_want(s);
		mux_want(s);
		loop_turn(s->loop, 4);
		quiet = side_seen(s) == before ? quiet + 1 : 0;
	}
}

static void
expect(struct side *s, struct side_text *t, const char *text)
{
	side_settle(s);
	assert_string_equal(t->s, text);
	text_clear(t);
}

void
side_expect(struct side *s, const char *text)
{
	expect(s, &s->got, text);
}

void
side_expect_heads(struct side *s, const char *text)
{
	expect(s, &s->heads, text);
}

void
side_expect_body(struct side *s, const char *text)
{
	expect(s, &s->body, text);
}

void
side_open(struct side *s)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct adit_conn *c = adit_mux_open(s->mux, ADIT_CONN_EXCHANGE, &e);

	if (!c)
		fail_msg("open: %s", e.text);
	x_own(s, c);
}

static void
control(struct adit_fields *f, enum adit_control which, const char *word)
{
	if (strcmp(word, "-") != 0)
		assert_int_equal(adit_fields_set_control(f, which, word, strlen(word)), 0);
}

struct adit_fields *
side_fields(const char *text)
{
	struct adit_fields *f = adit_fields_new();
	char *copy = strdup(text), *save = NULL, *line;
	char words[4][256];

	assert_non_null(f);
	assert_non_null(copy);
	line = strtok_r(copy, "\n", &save);
	if (line && line[0] >= '1' && line[0] <= '9') {
		adit_fields_set_status(f, atoi(line));
	} else if (line && strcmp(line, "trailers") != 0) {
		assert_int_equal(sscanf(line, "%255s %255s %255s %255s", words[0], words[1],
					words[2], words[3]),
				 4);
		control(f, ADIT_METHOD, words[0]);
		control(f, ADIT_SCHEME, words[1]);
		control(f, ADIT_AUTHORITY, words[2]);
		control(f, ADIT_TARGET, words[3]);
	}
	while ((line = strtok_r(NULL, "\n", &save))) {
		char *colon = strchr(line, ':');

		assert_non_null(colon);
		assert_int_equal(
			adit_fields_add(f, (struct adit_text){ line, (size_t)(colon - line) },
					(struct adit_text){ colon + 1, strlen(colon + 1) }),
			0);
	}
	free(copy);
	return f;
}

int
side_head(struct side *s, const char *text, unsigned flags)
{
	struct adit_fields *f = side_fields(text);
	int err = adit_exchange_send_head(s->x, f, flags);

	adit_fields_free(f);
	return err;
}

void
side_body(struct side *s, const char *text)
{
	assert_int_equal(adit_conn_write(&s->x->body, text, strlen(text)), strlen(text));
}

void
side_end(struct side *s)
{
	assert_int_equal(adit_conn_shutdown(&s->x->body), 0);
}

void
side_close(struct side *s, int why)
{
	adit_conn_close(&s->x->body, why);
	s->x = NULL;
	s->body_ended = false;
}

void
side_respond(struct side *s, const char *body)
{
	char head[64];

	snprintf(head, sizeof(head), "200\nContent-Length: %zu", strlen(body));
	assert_int_equal(side_head(s, head, *body ? 0 : ADIT_HEAD_END), 0);
	if (*body)
		side_body(s, body);
	side_end(s);
	side_close(s, 0);
}
