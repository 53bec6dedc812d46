/*
 * ws: a server, or a client, is fed bytes. The first two bytes say which of them, whether it is
 * open before the rest comes (frames) or not (the handshake), and in which pieces it comes. What
 * is fed to an open one is read twice, in large reads and in small ones, and must be the same.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "core/conn/ws.h"
#include "core/runtime/worker.h"
#include "core/wire/ws.h"

#define CAP 65536
#define REQUEST \
	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define ANSWER \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
	struct event_base	*base;
	struct adit_worker	*worker;
	struct ws_policy	*policy;
} world;

/* What came out of one run. */
struct outcome {
	uint8_t	*bytes;
	size_t	 len, size;
	size_t	 read_max;
	ssize_t	 end;		/* the last answer that was no data */
};

static void
fuzz_random(void *buf, size_t len)
{
	memset(buf, 0, len);
	memcpy(buf, "the sample nonce", len < 16 ? len : 16);
}

static void
world_begin(void)
{
	const struct ws_conf conf = { .path = "/ws", .random = fuzz_random };

	if (world.base)
		return;
	world.base = event_base_new();
	assert(world.base);
	world.worker = worker_attach(world.base, NULL, NULL);
	assert(world.worker);
	world.policy = ws_policy_new(&conf, NULL);
	assert(world.policy);
}

static void
turn(void)
{
	event_base_loop(world.base, EVLOOP_NONBLOCK);
}

static void
fuzz_ready(void *owner, struct adit_conn *c, unsigned events)
{
	struct outcome *o = owner;
	uint8_t buf[4096];
	ssize_t n = adit_conn_read(c, buf, o->read_max);

	(void)events;
	adit_conn_want(c, ADIT_READ);
	if (n > 0) {
		assert(adit_conn_is_open(c) && o->len + (size_t)n <= o->size);
		memcpy(o->bytes + o->len, buf, (size_t)n);
		o->len += (size_t)n;
	} else if (n != -EAGAIN) {
		o->end = n;
		adit_conn_want(c, 0);
	}
}

/* What is sent back is taken and dropped. */
static void
raw_ready(void *owner, struct adit_conn *c, unsigned events)
{
	char buf[4096];
	ssize_t n = adit_conn_read(c, buf, sizeof(buf));

	(void)owner;
	(void)events;
	if (n <= 0 && n != -EAGAIN)
		adit_conn_want(c, 0);
}

static void
feed(struct adit_conn *raw, const void *bytes, size_t len, size_t piece)
{
	const uint8_t *p = bytes;
	unsigned tries = 0;

	while (len && tries < 10000) {
		ssize_t n = adit_conn_write(raw, p, len < piece ? len : piece);

		turn();
		tries = n > 0 ? 0 : tries + 1;
		if (n < 0 && n != -EAGAIN)
			return;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void
run(struct outcome *o, const uint8_t *data, size_t len, unsigned how, size_t piece)
{
	struct adit_conn *lower, *raw, *c;

	assert(adit_conn_pair(world.worker, world.worker, CAP, &lower, &raw) == 0);
	c = how & 1 ? ws_client(lower, world.policy, "a", NULL)
		    : ws_server(lower, world.policy, NULL);
	assert(c);
	adit_conn_own(c, fuzz_ready, o);
	adit_conn_want(c, ADIT_OPEN | ADIT_READ);
	adit_conn_own(raw, raw_ready, NULL);
	adit_conn_want(raw, ADIT_READ);
	if (how & 2)
		feed(raw, how & 1 ? ANSWER : REQUEST, strlen(how & 1 ? ANSWER : REQUEST), 4096);
	feed(raw, data, len, piece);
	adit_conn_shutdown(raw);
	for (int i = 0; i < 200 && o->end == 1; i++)
		turn();
	assert(!adit_conn_err(c) || o->end < 0);
	adit_conn_close(c, o->end < 0 ? (int)o->end : 0);
	turn();
	adit_conn_close(raw, -ECONNABORTED);
	turn();
	turn();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct outcome o[2];

	if (len < 2 || len > 8192)
		return 0;
	world_begin();
	for (int i = 0; i < 2; i++) {
		o[i] = (struct outcome){
			.bytes = malloc(len), .size = len, .end = 1,
			.read_max = i ? 1 + (size_t)data[1] * 16 : 4096,
		};
		assert(o[i].bytes);
		run(&o[i], data + 2, len - 2, data[0], i ? 1 + (size_t)data[1] : 4096);
	}
	if (data[0] & 2) {
		assert(o[0].len == o[1].len && o[0].end == o[1].end);
		assert(memcmp(o[0].bytes, o[1].bytes, o[0].len) == 0);
	}
	assert(chunk_pool_used(worker_chunks(world.worker)) == 0);
	free(o[0].bytes);
	free(o[1].bytes);
	return 0;
}
