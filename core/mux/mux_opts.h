/*
 * The option rows of what runs sessions of smux: the tunnel's handler and connector (over a bind),
 * the transports that end in one. A plugin has a struct mux_opts in its instance and puts
 * MUX_OPTS(its type, field, default version, default window, help for the window) among its rows.
 */
#ifndef ADIT_CORE_MUX_OPTS_H
#define ADIT_CORE_MUX_OPTS_H

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

#define MUX_OPTS(T, f, ver, window, window_help) \
	{ .name = "mux.type", .type = ADIT_OPT_ENUM, .offset = offsetof(T, f.type), \
	  .def = "smux", .values = mux_types, \
	  .help = "session protocol; both sides must agree" }, \
	{ .name = "mux.version", .type = ADIT_OPT_INT, .offset = offsetof(T, f.version), \
	  .def = ver, .min = 1, .max = 2, \
	  .help = "smux version; both sides must agree" }, \
	{ .name = "mux.keepaliveDisabled", .type = ADIT_OPT_BOOL, \
	  .offset = offsetof(T, f.keepalive_disabled), .def = "false", \
	  .help = "send no keepalive and never give a silent peer up" }, \
	{ .name = "mux.keepaliveInterval", .type = ADIT_OPT_DURATION, \
	  .offset = offsetof(T, f.keepalive_interval), .def = "10s", \
	  .help = "time between two keepalive frames" }, \
	{ .name = "mux.keepaliveTimeout", .type = ADIT_OPT_DURATION, \
	  .offset = offsetof(T, f.keepalive_timeout), .def = "30s", \
	  .help = "silence after which the peer counts as dead" }, \
	{ .name = "mux.maxFrameSize", .type = ADIT_OPT_INT, \
	  .offset = offsetof(T, f.max_frame_size), .def = "32768", .min = 1, .max = 65535, \
	  .help = "most payload bytes in a frame that is sent" }, \
	{ .name = "mux.maxReceiveBuffer", .type = ADIT_OPT_INT, \
	  .offset = offsetof(T, f.max_receive_buffer), .def = "4194304", .min = 65536, \
	  .max = 1 << 30, \
	  .help = "unread bytes of all streams of a session" }, \
	{ .name = "mux.maxStreamBuffer", .type = ADIT_OPT_INT, \
	  .offset = offsetof(T, f.max_stream_buffer), .def = window, .min = 4096, \
	  .max = 1 << 30, .help = window_help }

/* Those of a session over a bind. */
#define MUX_BIND_OPTS(T, f, ver) \
	MUX_OPTS(T, f, ver, "1048576", \
		 "window of a stream; from the default on it grows to 8388608 with the path")

/*
 * Checks the options against each other and turns them into the session's. 0 or ADIT_ECONFIG with e
 * filled.
 */
int mux_opts_conf(const struct mux_opts *o, bool client, struct smux_conf *out, struct adit_err *e);

#endif
