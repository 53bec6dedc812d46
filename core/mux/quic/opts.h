/*
 * The option rows that listener and dialer `quic` share. A plugin has a struct quic_opts in its
 * instance and puts QUIC_OPTS(its type, field) among its rows.
 */
#ifndef ADIT_CORE_QUIC_OPTS_H
#define ADIT_CORE_QUIC_OPTS_H

#include <adit/opt.h>

#include "core/mux/quic/quic.h"

struct quic_opts {
	bool		keep_alive, datagrams;
	uint64_t	ttl, handshake, idle;
	int64_t		streams, backlog;
	char		*cipher_key;
	int		congestion;
};

extern const char *const quic_datagram_aliases[];
extern const char *const quic_congestions[];

#define QUIC_OPTS(T, f) \
	{ "keepAlive", NULL, ADIT_OPT_BOOL, offsetof(T, f.keep_alive), "true", 0, 0, NULL, NULL, 0, \
	  "send a PING when nothing else was sent for ttl", 0 }, \
	{ "ttl", NULL, ADIT_OPT_DURATION, offsetof(T, f.ttl), "10s", 0, 0, NULL, NULL, 0, \
	  "time between two keepalives", 0 }, \
	{ "handshakeTimeout", NULL, ADIT_OPT_DURATION, offsetof(T, f.handshake), "5s", 0, 0, NULL, \
	  NULL, 0, "limit for a handshake", 0 }, \
	{ "maxIdleTimeout", NULL, ADIT_OPT_DURATION, offsetof(T, f.idle), "90s", 0, 0, NULL, NULL, 0, \
	  "silence after which a session ends", 0 }, \
	{ "maxStreams", NULL, ADIT_OPT_INT, offsetof(T, f.streams), "100", 1, 1 << 20, NULL, NULL, 0, \
	  "streams that the peer may open at first", 0 }, \
	{ "backlog", NULL, ADIT_OPT_INT, offsetof(T, f.backlog), "128", 1, 1 << 20, NULL, NULL, 0, \
	  "accepted for gost's sake; streams are handed on as they come", 0 }, \
	{ "quic.enableDatagram", quic_datagram_aliases, ADIT_OPT_BOOL, offsetof(T, f.datagrams), NULL, \
	  0, 0, NULL, NULL, 0, "accepted for gost's sake", 0 }, \
	{ "cipherKey", NULL, ADIT_OPT_STRING, offsetof(T, f.cipher_key), NULL, 0, 0, NULL, NULL, \
	  ADIT_OPT_SECRET, "gost's obfuscation of packets; not available in this build", 0 }, \
	{ "congestion", NULL, ADIT_OPT_ENUM, offsetof(T, f.congestion), "cubic", 0, 0, \
	  quic_congestions, NULL, 0, "congestion control", 0 }

/* gost's protocols, by preference: `h3` is no HTTP/3 there. */
#define QUIC_GOST_ALPNS 2
extern const struct quic_alpn quic_gost_alpn[QUIC_GOST_ALPNS];

/* Turns the options into parameters of sessions, without tls. 0 or a failure with e filled. */
int quic_opts_params(const struct quic_opts *o, struct quic_params *out, struct adit_err *e);

#endif
