#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <adit/pump.h>

#include "core/conn/ending.h"
#include "core/conn/opening.h"
#include "core/conn/patience.h"
#include "core/tunnel/visit.h"

/* There may be very many of them for very long: what the last line needs, and no more. */
struct upgraded_visit {
	struct adit_activity	 activity;
	struct entry_shared	*shared;
	struct adit_pump	*pump;
	const struct adit_worker *worker;
	uint64_t		 conn, born;
	struct adit_addr	 remote;
	struct adit_traffic	 before;
	unsigned		 requests;
	char			 host[];
};

static void
upgraded_free(struct upgraded_visit *u)
{
	adit_activity_end(&u->activity);
	entry_shared_put(u->shared);
	free(u);
}

static void
upgraded_stop(struct adit_activity *a, int why)
{
	struct upgraded_visit *u = adit_container_of(a, struct upgraded_visit, activity);

	if (why)
		adit_pump_stop(u->pump, why);
}

static void
upgraded_done(void *arg, const struct adit_pump_stats *stats)
{
	struct upgraded_visit *u = arg;
	const char *side = ending_side(stats->side, "visitor", "client");
	const struct ending end = {
		.component = u->shared->conf.component, .kind = "entrypoint", .id = u->conn,
		.worker = u->worker, .remote = &u->remote, .host = u->host,
		.requests = u->requests, .status = 101,
		.traffic = { u->before.in + stats->bytes[0], u->before.out + stats->bytes[1] },
		.duration = adit_now() - u->born,
		.by = stats->err ? ending_by(stats->err, side) : side,
		.how = stats->err ? ending_how(stats->err) : stats->how,
	};
	char remote[ADIT_ADDR_TEXT];

	ending_log(&end, ADIT_LOG_INFO, "%s >< %s", adit_addr_format(&u->remote, remote), u->host);
	upgraded_free(u);
}

int
visit_upgraded(struct entry_shared *s, const struct visit_id *id, const struct upgrade *up)
{
	const struct adit_pump_opts opts = { .size = sizeof(opts), .half_closed = HALF_CLOSED_NS };
	size_t len = strlen(id->host) + 1;
	struct upgraded_visit *u = calloc(1, sizeof(*u) + len);

	if (!u) {
		adit_conn_close(up->visitor, -ENOMEM);
		adit_conn_close(up->far, -ENOMEM);
		return -ENOMEM;
	}
	u->worker = id->worker;
	u->conn = id->conn;
	u->born = id->born;
	u->remote = id->remote;
	u->before = up->before;
	u->requests = up->requests;
	memcpy(u->host, id->host, len);
	u->shared = entry_shared_get(s);
	u->activity.stop = upgraded_stop;
	adit_activity_begin(&u->activity, s->conf.component, adit_conn_worker(up->visitor));
	u->pump = adit_pump(up->visitor, opening_unwrap(up->far), &opts, upgraded_done, u);
	if (u->pump)
		return 0;
	upgraded_free(u);
	return -ENOMEM;
}
