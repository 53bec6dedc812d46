#include "tests/unit/wire_end.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT_MS 10000

static void
end_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct wire_end *end = owner;
	char buf[4096];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		end->ended = n == 0;
		end->err = (int)n;
		adit_conn_want(c, 0);
		return;
	}
	end->got = realloc(end->got, end->len + (size_t)n + 1);
	assert_non_null(end->got);
	memcpy(end->got + end->len, buf, (size_t)n);
	end->len += (size_t)n;
	end->got[end->len] = 0;
}

struct adit_conn *
wire_end_init(struct wire_end *end, struct loop *l)
{
	struct adit_conn *other;

	*end = (struct wire_end){ .loop = l };
	assert_int_equal(adit_conn_pair(l->worker, l->worker, WIRE_END_CAP, &end->conn, &other), 0);
	adit_conn_own(end->conn, end_event, end);
	adit_conn_want(end->conn, ADIT_READ);
	return other;
}

void
wire_end_fini(struct wire_end *end)
{
	adit_conn_close(end->conn, 0);
	free(end->got);
	*end = (struct wire_end){ .conn = NULL };
}

void
wire_end_send(struct wire_end *end, const void *bytes, size_t len)
{
	const char *p = bytes;
	uint64_t start = adit_now();

	while (len) {
		ssize_t n = adit_conn_write(end->conn, p, len);

		assert_true(n > 0 || n == -EAGAIN);
		assert_true(adit_now() - start < ADIT_MS(LIMIT_MS));
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		loop_turn(end->loop, 1);
	}
}

void
wire_end_close(struct wire_end *end, int why)
{
	adit_conn_close(end->conn, why);
	end->conn = NULL;
}

void
wire_end_pause(struct wire_end *end, bool paused)
{
	end->paused = paused;
	adit_conn_want(end->conn, paused ? 0 : ADIT_READ);
}

void
wire_end_drop(struct wire_end *end, size_t len)
{
	assert_true(len <= end->len);
	if (!len)
		return;
	end->len -= len;
	memmove(end->got, end->got + len, end->len + 1);
}
