/*
 * The option rows that the tunnel's handler and connector share: how the session over a bind is
 * run. A plugin has a struct mux_opts in its instance and puts MUX_OPTS(its type, field) among its
 * rows.
 */
#ifndef ADIT_CORE_RELAY_OPTS_H
#define ADIT_CORE_RELAY_OPTS_H

#include <adit/opt.h>

#include "core/mux/smux.h"

struct mux_opts {
	int64_t		version;
	bool		keepalive_disabled;
	uint64_t	keepalive_interval, keepalive_timeout;
	int64_t		max_frame_size, max_receive_buffer, max_stream_buffer;
	int		type;		/* of mux_types */
};

extern const char *const mux_types[];

#define MUX_OPTS(T, f) \
	{ "mux.type", NULL, ADIT_OPT_ENUM, offsetof(T, f.type), "smux", 0, 0, mux_types, NULL, 0, \
	  "session protocol over a bind; both sides must agree", 0 }, \
	{ "mux.version", NULL, ADIT_OPT_INT, offsetof(T, f.version), "2", 1, 2, NULL, NULL, 0, \
	  "smux version; both sides must agree", 0 }, \
	{ "mux.keepaliveDisabled", NULL, ADIT_OPT_BOOL, offsetof(T, f.keepalive_disabled), "false", \
	  0, 0, NULL, NULL, 0, "send no keepalive and never give a silent peer up", 0 }, \
	{ "mux.keepaliveInterval", NULL, ADIT_OPT_DURATION, offsetof(T, f.keepalive_interval), "10s", \
	  0, 0, NULL, NULL, 0, "time between two keepalive frames", 0 }, \
	{ "mux.keepaliveTimeout", NULL, ADIT_OPT_DURATION, offsetof(T, f.keepalive_timeout), "30s", \
	  0, 0, NULL, NULL, 0, "silence after which the peer counts as dead", 0 }, \
	{ "mux.maxFrameSize", NULL, ADIT_OPT_INT, offsetof(T, f.max_frame_size), "32768", 1, 65535, \
	  NULL, NULL, 0, "most payload bytes in a frame that is sent", 0 }, \
	{ "mux.maxReceiveBuffer", NULL, ADIT_OPT_INT, offsetof(T, f.max_receive_buffer), "4194304", \
	  65536, 1 << 30, NULL, NULL, 0, "unread bytes of all streams of a session", 0 }, \
	{ "mux.maxStreamBuffer", NULL, ADIT_OPT_INT, offsetof(T, f.max_stream_buffer), "1048576", \
	  4096, 1 << 30, NULL, NULL, 0, "window of a stream", 0 }

/*
 * Checks the options against each other and turns them into the session's. 0 or ADIT_ECONFIG with e
 * filled.
 */
int mux_opts_conf(const struct mux_opts *o, bool client, struct smux_conf *out, struct adit_err *e);

#endif
