/*
 * A session of HTTP/2 against a peer that sends anything. The first byte chooses the role, whether
 * there is a path, whether the connection's preface goes before, and how the bytes are cut; the
 * second what the owner does with the streams that come; the rest comes from the peer.
 */
#include "core/mux/h2/h2.h"
#include "core/mux/h2/h2_int.h"
#include "tests/fuzz/session_owner.h"

static void
run(struct event_base *base, struct adit_worker *w, const uint8_t *data, size_t len)
{
	const struct h2_transport_conf conf = {
		.client = data[0] & 1, .path = data[0] & 2 ? "/h2" : NULL, .authority = "a:1",
		.streams = 64, .backlog = 8, .open_ms = 1000,
	};
	struct owner o = {
		.base = base, .habits = data[1],
		.piece = data[0] & 8 ? 1 + (size_t)(data[0] >> 4) : 4096,
	};
	struct adit_conn *lower;

	if (adit_conn_pair(w, w, 65536, &lower, &o.wire) < 0)
		abort();
	o.mux = h2_transport(lower, &conf);
	owner_turn(base);
	if (!conf.client && data[0] & 4)
		adit_conn_write(o.wire, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
	owner_hear(&o, data + 2, len - 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return len < 2 ? 0 : owner_run(data, len, run);
}
