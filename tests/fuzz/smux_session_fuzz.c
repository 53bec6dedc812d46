/*
 * A session against a peer that sends anything. The first byte chooses version, role and how the
 * bytes are cut, the second what the owner does with the streams that come; the rest comes from the
 * peer.
 */
#include "core/mux/smux_int.h"
#include "tests/fuzz/session_owner.h"

static void
run(struct event_base *base, struct adit_worker *w, const uint8_t *data, size_t len)
{
	struct smux_conf conf = smux_conf_default(data[0] & 2, 1 + (data[0] & 1));
	struct owner o = {
		.base = base, .habits = data[1], .burst = 20000,
		.piece = data[0] & 4 ? 1 + (size_t)(data[0] >> 4) : 4096,
	};
	struct adit_conn *lower;

	conf.keepalive = conf.timeout = 0;
	conf.half_close = true;
	conf.streams = 64;
	conf.backlog = 8;
	conf.session_buffer = 300000;
	if (adit_conn_pair(w, w, data[0] & 8 ? 50 : 65536, &lower, &o.wire) < 0)
		abort();
	o.mux = smux_new(lower, &conf);
	owner_turn(base);
	owner_hear(&o, data + 2, len - 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return len < 2 ? 0 : owner_run(data, len, run);
}
