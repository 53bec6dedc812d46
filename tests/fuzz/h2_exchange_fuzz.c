/*
 * A session of HTTP/2 exchanges against a peer that sends anything. The first byte chooses the
 * role, whether extended CONNECT is taken, whether the connection's preface goes before, and how
 * the bytes are cut; the second what the owner does with the exchanges that come; the rest comes
 * from the peer.
 */
#include <string.h>

#include "core/http/h2.h"
#include "tests/fuzz/session_owner.h"

static struct adit_text
text(const char *s)
{
	return (struct adit_text){ s, strlen(s) };
}

/* Asks, or answers what was asked. */
static void
begin(struct adit_conn *c, bool ours)
{
	struct adit_exchange *x = adit_exchange_of(c);
	struct adit_fields *f = adit_fields_new();

	if (!f || !x)
		abort();
	if (ours) {
		adit_fields_set_control(f, ADIT_METHOD, "POST", 4);
		adit_fields_set_control(f, ADIT_SCHEME, "https", 5);
		adit_fields_set_control(f, ADIT_AUTHORITY, "a.b", 3);
		adit_fields_set_control(f, ADIT_TARGET, "/", 1);
	} else {
		if (!adit_exchange_head(x))
			abort();
		adit_fields_set_status(f, 200);
	}
	adit_fields_add(f, text("x-y"), text("z"));
	adit_exchange_send_head(x, f, 0);
	adit_fields_free(f);
}

static void
run(struct event_base *base, struct adit_worker *w, const uint8_t *data, size_t len)
{
	const struct h2_conf conf = { .extended = data[0] & 2, .head_max = 2048, .streams = 8 };
	struct owner o = {
		.base = base, .habits = data[1], .kind = ADIT_CONN_EXCHANGE, .begin = begin,
		.piece = data[0] & 8 ? 1 + (size_t)(data[0] >> 4) : 4096,
	};
	struct adit_conn *lower;

	if (adit_conn_pair(w, w, 65536, &lower, &o.wire) < 0)
		abort();
	o.mux = data[0] & 1 ? h2_client(lower, &conf) : h2_server(lower, &conf);
	owner_turn(base);
	if (!(data[0] & 1) && data[0] & 4)
		adit_conn_write(o.wire, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	owner_hear(&o, data + 2, len - 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return len < 2 ? 0 : owner_run(data, len, run);
}
