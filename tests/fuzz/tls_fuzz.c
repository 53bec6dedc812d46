/*
 * tls: a server is fed bytes. Where the first one is even, these are all it gets, in pieces; where
 * it is odd, a real client speaks to it, and the input changes bytes of what the client says.
 * Whatever happens, the server ends open, waiting or failed, delivers nothing unless it is open,
 * and holds no memory of the pool when it is closed.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "core/conn/conn.h"
#include "core/conn/tls.h"
#include "core/runtime/worker.h"

#define CAP 65536
#define TURNS 12	/* more than a handshake takes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
	struct event_base	*base;
	struct adit_worker	*worker;
	struct tls_creds	*client, *server;
} world;

/* The input's changes to what passes: byte at + i is XORed with change[i]. */
struct lane {
	struct adit_conn	*from, *to;
	const uint8_t		*change;
	size_t			 change_len, at, passed;
};

static struct tls_creds *
fuzz_creds(enum tls_side side)
{
	const struct adit_tls_conf conf = { 0 };
	struct tls_source *src = tls_source_new(&conf, side, NULL, NULL);
	struct tls_creds *c;

	assert(src);
	c = tls_creds_current(src);
	tls_source_free(src);
	return c;
}

static void
world_begin(void)
{
	if (world.base)
		return;
	world.base = event_base_new();
	assert(world.base);
	world.worker = worker_attach(world.base, NULL, NULL);
	assert(world.worker);
	world.client = fuzz_creds(TLS_CLIENT);
	world.server = fuzz_creds(TLS_SERVER);
}

static void
turn(void)
{
	event_base_loop(world.base, EVLOOP_NONBLOCK);
}

static void
server_ready(void *owner, struct adit_conn *c, unsigned events)
{
	uint8_t buf[4096];
	ssize_t n;

	(void)owner;
	(void)events;
	adit_conn_want(c, ADIT_READ);
	n = adit_conn_read(c, buf, sizeof(buf));
	assert(n <= 0 || adit_conn_is_open(c) || adit_conn_err(c));
	if (n == -EAGAIN)
		return;
	if (n <= 0)
		adit_conn_want(c, 0);
	if (n < 0 && n == ADIT_ETLS)
		assert(conn_failure(c));
}

static struct adit_conn *
server_over(struct adit_conn *lower)
{
	struct adit_conn *c = tls_server(lower, world.server, NULL);

	assert(c);
	adit_conn_own(c, server_ready, NULL);
	adit_conn_want(c, ADIT_OPEN | ADIT_READ);
	return c;
}

static void
feed(const uint8_t *data, size_t len, size_t piece)
{
	struct adit_conn *lower, *raw, *server;
	size_t done = 0;

	assert(adit_conn_pair(world.worker, world.worker, CAP, &lower, &raw) == 0);
	server = server_over(lower);
	while (done < len) {
		size_t left = len - done;
		ssize_t n = adit_conn_write(raw, data + done, left < piece ? left : piece);

		turn();
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	adit_conn_shutdown(raw);
	for (int i = 0; i < 4; i++)
		turn();
	adit_conn_close(server, -ECONNABORTED);
	adit_conn_close(raw, -ECONNABORTED);
}

static void
lane_ready(void *owner, struct adit_conn *c, unsigned events)
{
	struct lane *lane = owner;
	uint8_t buf[4096];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	(void)events;
	if (n == -EAGAIN)
		return;
	for (size_t i = 0; n > 0 && i < (size_t)n; i++, lane->passed++)
		if (lane->passed >= lane->at && lane->passed - lane->at < lane->change_len)
			buf[i] ^= lane->change[lane->passed - lane->at];
	if (n <= 0 || adit_conn_write(lane->to, buf, (size_t)n) < n)
		adit_conn_want(c, 0);
}

static void
client_ready(void *owner, struct adit_conn *c, unsigned events)
{
	static const char text[] = "what the client has to say";

	(void)owner;
	(void)events;
	adit_conn_want(c, 0);
	if (adit_conn_is_open(c))
		adit_conn_write(c, text, sizeof(text));
}

static void
disturb(const uint8_t *change, size_t len, size_t at)
{
	struct adit_conn *a, *b, *client, *server;
	struct lane up = { .change = change, .change_len = len, .at = at }, down = { 0 };

	assert(adit_conn_pair(world.worker, world.worker, CAP, &a, &up.from) == 0);
	assert(adit_conn_pair(world.worker, world.worker, CAP, &b, &down.from) == 0);
	up.to = down.from;
	down.to = up.from;
	client = tls_client(a, world.client, "fuzz.test", NULL);
	assert(client);
	adit_conn_own(client, client_ready, NULL);
	adit_conn_want(client, ADIT_OPEN);
	server = server_over(b);
	adit_conn_own(up.from, lane_ready, &up);
	adit_conn_own(down.from, lane_ready, &down);
	adit_conn_want(up.from, ADIT_READ);
	adit_conn_want(down.from, ADIT_READ);
	for (int i = 0; i < TURNS; i++)
		turn();
	adit_conn_close(client, -ECONNABORTED);
	adit_conn_close(server, -ECONNABORTED);
	adit_conn_close(up.from, -ECONNABORTED);
	adit_conn_close(down.from, -ECONNABORTED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 3)
		return 0;
	world_begin();
	if (data[0] & 1)
		disturb(data + 3, len - 3, (size_t)(data[1] << 8 | data[2]));
	else
		feed(data + 2, len - 2, 1 + (size_t)data[1] * 16);
	turn();
	turn();
	assert(chunk_pool_used(worker_chunks(world.worker)) == 0);
	return 0;
}
