/* The sessions "smux1" and "smux2": smux at the end of a stack. */
#include "core/mux/smux_session.h"

#include <errno.h>

#include <adit/plugin.h>

#include "core/mux/mux_opts.h"
#include "core/mux/smux.h"
#include "core/wire/smux.h"

struct smux_session {
	struct adit_session	 base;
	struct mux_opts		 opts;
	int64_t			 backlog;
	uint64_t		 handshake_timeout;	/* ns */
	struct smux_conf	 conf;
};

#define AT(field) .offset = offsetof(struct smux_session, field)
#define SMUX_SESSION_OPTS(default_version) { \
	MUX_OPTS(struct smux_session, opts, default_version, "65536", \
		 "version 2: window of a stream, at first; it grows to 8388608 with the path"), \
	{ .name = "handshakeTimeout", .type = ADIT_OPT_DURATION, AT(handshake_timeout), \
	  .min = 1000000, .max = 600 * 1000000000ll, .def = "15s", \
	  .help = "how long a peer may say nothing in a new session" }, \
	{ .name = "backlog", .type = ADIT_OPT_INT, AT(backlog), .def = "128", .min = 1, \
	  .max = 65536, \
	  .help = "streams not yet accepted; then the session is not read" }, \
	ADIT_OPT_END, \
}

static const struct adit_opt smux1_opts[] = SMUX_SESSION_OPTS("1");
static const struct adit_opt smux2_opts[] = SMUX_SESSION_OPTS("2");

static struct smux_session *
session_of(struct adit_session *s)
{
	return adit_container_of(s, struct smux_session, base);
}

static int
smux_session_init(struct adit_session *s, struct adit_err *e)
{
	struct smux_session *m = session_of(s);
	int err = mux_opts_conf(&m->opts, !s->server, &m->conf, e);

	if (err)
		return err;
	m->conf.backlog = (unsigned)m->backlog;
	s->patience = m->handshake_timeout;
	/* As small as gost's at first, and no limit of its own. */
	if (m->conf.stream_buffer <= SMUX_MTCP_WINDOW)
		m->conf.stream_max = smux_conf_default(!s->server, m->conf.version).stream_max;
	return 0;
}

static struct adit_mux *
smux_session_over(struct adit_session *s, struct adit_conn *lower, struct adit_err *e)
{
	struct adit_mux *m = smux_new(lower, &session_of(s)->conf);

	if (!m)
		adit_err_set(e, -ENOMEM, "out of memory");
	return m;
}

static struct adit_mux *
smux_session_client(struct adit_session *s, struct adit_conn *lower, const char *host,
		    struct adit_err *e)
{
	(void)host;
	return smux_session_over(s, lower, e);
}

#define SMUX_SESSION(call, rows) { \
	.base = { \
		.abi = ADIT_ABI, \
		.size = sizeof(struct adit_session_ops), \
		.kind = ADIT_SESSION, \
		.name = call, \
		.help = "streams in smux, as gost speaks it", \
		.instance = sizeof(struct smux_session), \
		.opts = rows, \
	}, \
	.client = smux_session_client, \
	.server = smux_session_over, \
	.init = smux_session_init, \
}

const struct adit_session_ops session_smux1 = SMUX_SESSION("smux1", smux1_opts);
const struct adit_session_ops session_smux2 = SMUX_SESSION("smux2", smux2_opts);
