#include "core/mux/mux_opts.h"

#define TUNNEL_WINDOW (1 << 20)		/* what a gost has */

const char *const mux_types[] = { "smux", "yamux", NULL };

int
mux_opts_conf(const struct mux_opts *o, bool client, struct smux_conf *out, struct adit_err *e)
{
	if (o->type != 0)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "mux.type yamux is not available in this build");
	*out = smux_conf_default(client, (unsigned)o->version);
	out->keepalive = o->keepalive_disabled ? 0 : o->keepalive_interval;
	out->timeout = o->keepalive_disabled ? 0 : o->keepalive_timeout;
	out->frame = (size_t)o->max_frame_size;
	out->session_buffer = (size_t)o->max_receive_buffer;
	out->stream_buffer = (size_t)o->max_stream_buffer;
	/* A window that was made smaller than usual is a limit. */
	if (out->stream_buffer < TUNNEL_WINDOW || out->stream_max < out->stream_buffer)
		out->stream_max = out->stream_buffer;
	out->half_close = true;		/* where the peer turns out to be an adit */
	if (smux_conf_check(out, e) < 0) {
		adit_err_context(e, "mux options");
		e->code = ADIT_ECONFIG;
		return ADIT_ECONFIG;
	}
	return 0;
}
