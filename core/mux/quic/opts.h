/*
 * The option rows that listener and dialer `quic` share. A plugin has a struct quic_opts in its
 * instance and puts QUIC_OPTS(its type, field) among its rows.
 */
#ifndef ADIT_CORE_QUIC_OPTS_H
#define ADIT_CORE_QUIC_OPTS_H

#include <adit/opt.h>

#include "core/mux/quic/quic.h"

struct quic_opts {
	bool		keep_alive, datagrams, has_streams;
	uint64_t	ttl, handshake, idle;
	int64_t		streams, backlog;
	char		*cipher_key;
	int		congestion;
	struct quic_alpn alpn[3];	/* what is offered: see quic_opts_params */
};

extern const char *const quic_datagram_aliases[];
extern const char *const quic_congestions[];

#define QUIC_OPTS(T, f) \
	{ .name = "keepAlive", .type = ADIT_OPT_BOOL, .offset = offsetof(T, f.keep_alive), \
	  .def = "true", \
	  .help = "send a PING when nothing else was sent for ttl" }, \
	{ .name = "ttl", .type = ADIT_OPT_DURATION, .offset = offsetof(T, f.ttl), \
	  .def = "10s", \
	  .help = "time between two keepalives" }, \
	{ .name = "handshakeTimeout", .type = ADIT_OPT_DURATION, \
	  .offset = offsetof(T, f.handshake), .def = "5s", \
	  .help = "limit for a handshake" }, \
	{ .name = "maxIdleTimeout", .type = ADIT_OPT_DURATION, .offset = offsetof(T, f.idle), \
	  .def = "90s", \
	  .help = "silence after which a session ends" }, \
	{ .name = "maxStreams", .type = ADIT_OPT_INT, .offset = offsetof(T, f.streams), \
	  .given = offsetof(T, f.has_streams), .def = "100", .min = 1, .max = 1 << 20, \
	  .help = "streams that the peer may open at first" }, \
	{ .name = "backlog", .type = ADIT_OPT_INT, .offset = offsetof(T, f.backlog), \
	  .def = "128", .min = 1, .max = 1 << 20, \
	  .help = "accepted for gost's sake; streams are handed on as they come" }, \
	{ .name = "quic.enableDatagram", .aliases = quic_datagram_aliases, \
	  .type = ADIT_OPT_BOOL, .offset = offsetof(T, f.datagrams), \
	  .help = "accepted for gost's sake" }, \
	{ .name = "cipherKey", .type = ADIT_OPT_STRING, .offset = offsetof(T, f.cipher_key), \
	  .flags = ADIT_OPT_SECRET, \
	  .help = "gost's obfuscation of packets; not available in this build" }, \
	{ .name = "congestion", .type = ADIT_OPT_ENUM, .offset = offsetof(T, f.congestion), \
	  .def = "cubic", .values = quic_congestions, \
	  .help = "congestion control" }

/*
 * Turns the options into parameters of sessions, without tls; o lives as long as those. What is
 * offered is protocol, if it is not NULL, whose streams either side opens and which has flows, and
 * then gost's: `h3`, which is no HTTP/3 there, and `quic/v1`. 0 or a failure with e filled.
 */
int quic_opts_params(struct quic_opts *o, const char *protocol, struct quic_params *out,
		     struct adit_err *e);

#endif
