#include "tests/unit/native_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <adit/mux.h>

int
native_rig_setup(void **state)
{
	struct native_rig *t = calloc(1, sizeof(*t));
	void *quic;

	assert_non_null(t);
	quic_rig_setup(&quic);
	t->quic = quic;
	t->loop = t->quic->l;
	quic_rig_start(t->quic);
	quic_rig_session(t->quic, &t->client, &t->server);
	component_init(&t->component, "tunnel", NULL, NULL);
	t->component.activities = &t->activities;
	*state = t;
	return 0;
}

int
native_rig_teardown(void **state)
{
	struct native_rig *t = *state;
	void *quic = t->quic;

	activities_stop(&t->activities, t->loop->worker, ADIT_ESTOPPED);
	loop_turn(t->loop, 5);
	assert_int_equal(t->activities.n, 0);
	adit_mux_close(t->client, NULL);
	quic_rig_teardown(&quic);
	free(t);
	return 0;
}

void
native_rig_send(struct native_rig *t, struct adit_conn *c, const void *bytes, size_t len)
{
	assert_int_equal(adit_conn_write(c, bytes, len), len);
	loop_turn(t->loop, 2);
}

struct adit_conn *
native_rig_open(struct native_rig *t, struct adit_mux *m, const void *bytes, size_t len)
{
	struct adit_conn *c = adit_mux_open(m, 0, NULL);

	assert_non_null(c);
	native_rig_send(t, c, bytes, len);
	return c;
}

void
native_rig_expect(struct native_rig *t, struct adit_conn *c, const void *bytes, size_t len)
{
	uint8_t got[1024];
	size_t at = 0;

	assert_true(len <= sizeof(got));
	while (at < len) {
		ssize_t n = quic_rig_read(t->quic, c, got + at, len - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_memory_equal(got, bytes, len);
}

struct native_msg
native_rig_message(struct native_rig *t, struct adit_conn *c)
{
	uint8_t buf[NATIVE_MAX];
	struct native_msg m;
	size_t len = 0;

	while (native_decode(buf, len, &m, NULL) == 0) {
		ssize_t n = quic_rig_read(t->quic, c, buf + len, native_need(buf, len) - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_true(native_decode(buf, len, &m, NULL) > 0);
	return m;
}

int
native_rig_end(struct native_rig *t, struct adit_conn *c, uint64_t *code)
{
	char byte;
	ssize_t n;

	do
		n = quic_rig_read(t->quic, c, &byte, 1);
	while (n > 0);
	if (code)
		*code = adit_conn_code(c);
	return (int)n;
}

bool
native_rig_is_open(void *conn)
{
	return adit_conn_is_open(conn) || adit_conn_err(conn);
}
