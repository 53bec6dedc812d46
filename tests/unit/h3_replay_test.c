/*
 * What reverst sends, byte for byte (tests/data/vectors/reverst-h3-streams.txt): its server's
 * requests, and its client's answers to some. The comments of the lines say what they mean.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/h3_rig.h"
#include "tests/unit/vector.h"

#define FILE_NAME "reverst-h3-streams.txt"
#define STATUS	  ":status: "

static bool
begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* "name: value   (how it is spelt)": the two texts, and whether it is one. */
static bool
split(const struct vector_line *line, char name[128], char value[256])
{
	const char *end = strstr(line->text, "   ("), *colon = strstr(line->text + 1, ": ");

	if (!end || !colon || colon > end || end - colon >= 256 || colon - line->text >= 128)
		return false;
	memcpy(name, line->text, (size_t)(colon - line->text));
	name[colon - line->text] = 0;
	memcpy(value, colon + 2, (size_t)(end - colon - 2));
	value[end - colon - 2] = 0;
	return true;
}

static const char *
control_of(const struct adit_fields *f, const char *name)
{
	static const char *const names[ADIT_CONTROLS] = {
		[ADIT_METHOD] = ":method", [ADIT_TARGET] = ":path",
		[ADIT_AUTHORITY] = ":authority", [ADIT_SCHEME] = ":scheme",
	};

	for (int i = 0; i < ADIT_CONTROLS; i++)
		if (names[i] && strcmp(names[i], name) == 0)
			return adit_fields_control(f, (enum adit_control)i).s;
	return NULL;
}

static bool
has_field(const struct adit_fields *f, const char *name, const char *value)
{
	for (size_t i = 0; i < adit_fields_count(f); i++)
		if (strcmp(adit_fields_at(f, i)->name.s, name) == 0 &&
		    strcmp(adit_fields_at(f, i)->value.s, value) == 0)
			return true;
	return false;
}

/* All that the section says from *line on of one head is in f; *line moves behind that. */
static size_t
check_head(const struct vector *v, size_t *line, char dir, size_t section,
	   const struct adit_fields *f)
{
	size_t checked = 0;

	for (; *line < v->n_line && v->line[*line].section == section; ++*line) {
		const struct vector_line *l = &v->line[*line];
		char name[128], value[256];
		const char *control;

		if (l->dir != dir || !l->len)
			continue;
		if (begins(l->text, "frame ") && checked)
			break;
		if (!split(l, name, value))
			continue;
		checked++;
		control = control_of(f, name);
		if (strcmp(name, ":status") == 0)
			assert_int_equal(adit_fields_status(f), atoi(value));
		else if (control)
			assert_string_equal(control, value);
		else if (!has_field(f, name, value))
			fail_msg("line %u: %s: %s", l->number, name, value);
	}
	return checked;
}

static size_t
first_line(const struct vector *v, size_t section)
{
	size_t i = 0;

	while (i < v->n_line && v->line[i].section != section)
		i++;
	return i;
}

/* Whether the section says that this side ended there. */
static bool
says_end(const struct vector *v, size_t section, char dir)
{
	for (size_t i = first_line(v, section);
	     i < v->n_line && v->line[i].section == section; i++)
		if (v->line[i].dir == dir && !v->line[i].len &&
		    strcmp(v->line[i].text, "FIN") == 0)
			return true;
	return false;
}

static void
play(const struct vector *v, size_t section, char dir, struct adit_conn *c)
{
	size_t len;
	uint8_t *bytes = vector_stream(v, section, section, dir, &len);

	assert_int_equal(adit_conn_write(c, bytes, len), len);
	if (says_end(v, section, dir))
		assert_int_equal(adit_conn_shutdown(c), 0);
	free(bytes);
}

static void
check_request(struct h3_rig *r, const struct vector *v, size_t section)
{
	struct adit_conn *c = adit_mux_open(r->raw, 0, NULL);
	size_t line = first_line(v, section);
	struct adit_exchange *x;

	play(v, section, 'S', c);
	x = h3_rig_accept(r);
	assert_true(check_head(v, &line, 'S', section, h3_rig_head(r, x)) >= 2);
	h3_rig_close(x, -ECONNRESET);
	adit_conn_close(c, -ECONNRESET);
}

static void
requests_of_its_server_are_understood(void **state)
{
	struct vector *v = vector_load(FILE_NAME);
	struct h3_rig *r = *state;
	struct adit_conn *control;
	unsigned n = 0;

	h3_rig_start(r, H3_SERVER_ALONE, true);
	control = adit_mux_open(r->raw, ADIT_CONN_UNI, NULL);
	play(v, vector_section(v, "unidirectional stream 3"), 'S', control);
	for (size_t i = 1; i < v->n_section; i++) {
		if (!begins(v->section[i], "request stream") &&
		    !strstr(v->section[i], "test request"))
			continue;
		check_request(r, v, i);
		n++;
	}
	assert_int_equal(n, 18);
	assert_int_equal(adit_mux_err(r->server), 0);
	adit_conn_close(control, 0);
	vector_free(v);
}

static struct adit_conn *
take_asked(struct h3_rig *r)
{
	struct adit_conn *c = quic_rig_accept(r->quic, r->raw);

	while (adit_conn_flags(c) & ADIT_CONN_UNI) {
		adit_conn_close(c, 0);
		c = quic_rig_accept(r->quic, r->raw);
	}
	return c;
}

/* The bytes of the section's DATA frames are those of its body. */
static void
check_body(struct h3_rig *r, const struct vector *v, size_t section, struct adit_exchange *x)
{
	char expected[1024];
	size_t len = 0;
	bool content = false;

	for (size_t i = first_line(v, section);
	     i < v->n_line && v->line[i].section == section; i++) {
		const struct vector_line *l = &v->line[i];

		if (l->dir != 'C' || !l->len)
			continue;
		if (content)
			memcpy(expected + len, l->bytes, l->len);
		len += content ? l->len : 0;
		content = begins(l->text, "frame DATA");
	}
	expected[len] = 0;
	h3_rig_expect(r, x, expected);
}

static void
check_answer(struct h3_rig *r, const struct vector *v, size_t section)
{
	const char *ask = strstr(v->section[section], ": HEAD") ? "HEAD https open.test /x" :
								  "GET https open.test /x";
	struct adit_exchange *x = h3_rig_open(r);
	size_t line = first_line(v, section);
	const struct adit_fields *f;
	struct adit_conn *c;

	assert_int_equal(h3_rig_send(r, x, ask, ADIT_HEAD_END), 0);
	c = take_asked(r);
	play(v, section, 'C', c);
	do {
		f = h3_rig_head(r, x);
		assert_non_null(f);
		assert_true(check_head(v, &line, 'C', section, f) > 0);
	} while (adit_fields_status(f) < 200);
	check_body(r, v, section, x);
	if (strstr(v->section[section], "trailer"))
		assert_string_equal(adit_fields_get(h3_rig_head(r, x), "x-t").s, "tv");
	h3_rig_close(x, 0);
	adit_conn_close(c, 0);
}

static void
answers_of_its_client_are_understood(void **state)
{
	struct vector *v = vector_load(FILE_NAME);
	struct h3_rig *r = *state;
	struct adit_conn *control;
	unsigned n = 0;

	h3_rig_start(r, H3_CLIENT_ALONE, true);
	control = adit_mux_open(r->raw, ADIT_CONN_UNI, NULL);
	play(v, vector_section(v, "unidirectional stream 2"), 'C', control);
	for (size_t i = 1; i < v->n_section; i++) {
		if (!strstr(v->section[i], "answer: "))
			continue;
		check_answer(r, v, i);
		n++;
	}
	assert_int_equal(n, 8);
	assert_int_equal(adit_mux_err(r->client), 0);
	adit_conn_close(control, 0);
	vector_free(v);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, h3_rig_setup, h3_rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_of_its_server_are_understood),
		TEST(answers_of_its_client_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
