#include <string.h>

#include "core/config/kinds.h"

/* gost-config.md, 1.4: also the names that nobody here implements, since they decide how a URL is
 * read. */
static const char *const gost_handlers[] = {
	"api", "auto", "dns", "file", "forward", "http", "http2", "http3", "masque", "metrics",
	"red", "redir", "redirect", "redu", "relay", "router", "rtcp", "rudp", "runix", "serial",
	"sni", "socks", "socks4", "socks4a", "socks5", "ss", "sshd", "ssu", "tap", "tcp", "tun",
	"tungo", "tunnel", "udp", "unix", NULL,
};

static const char *const gost_listeners[] = {
	"dns", "dtls", "ftcp", "grpc", "h2", "h2c", "h3", "http2", "http3", "icmp", "icmp6",
	"kcp", "mtcp", "mtls", "mws", "mwss", "ohttp", "otls", "pht", "phts", "quic", "red",
	"redir", "redirect", "redu", "rtcp", "rudp", "runix", "serial", "ssh", "sshd", "stdio",
	"tap", "tcp", "tls", "tun", "tungo", "udp", "unix", "ws", "wss", "wt", NULL,
};

static const char *const gost_connectors[] = {
	"direct", "forward", "http", "http2", "masque", "relay", "router", "serial", "sni",
	"socks", "socks4", "socks4a", "socks5", "ss", "sshd", "ssu", "tcp", "tunnel", "unix",
	"virtual", NULL,
};

static const char *const gost_dialers[] = {
	"direct", "dtls", "ftcp", "grpc", "h2", "h2c", "h3", "h3-masque", "http2", "http3",
	"icmp", "icmp6", "kcp", "mtcp", "mtls", "mws", "mwss", "ohttp", "ohttps", "otls", "pht",
	"phts", "quic", "serial", "ssh", "sshd", "tcp", "tls", "udp", "unix", "utls", "virtual",
	"ws", "wss", "wt", NULL,
};

/* What gost has no word for. */
static const char *const gost_none[] = { NULL };

static const char *const *const gost_names[] = {
	[ADIT_HANDLER] = gost_handlers,
	[ADIT_LISTENER] = gost_listeners,
	[ADIT_CONNECTOR] = gost_connectors,
	[ADIT_DIALER] = gost_dialers,
	[ADIT_INGRESS] = gost_none,
	[ADIT_LAYER] = gost_none,
	[ADIT_STACK] = gost_none,
	[ADIT_SESSION] = gost_none,
	[ADIT_EITHER] = gost_none,
};

const char *
config_kind_name(enum adit_kind kind)
{
	static const char *const names[] = {
		[ADIT_HANDLER] = "handler",
		[ADIT_LISTENER] = "listener",
		[ADIT_CONNECTOR] = "connector",
		[ADIT_DIALER] = "dialer",
		[ADIT_INGRESS] = "ingress",
		[ADIT_LAYER] = "layer",
		[ADIT_STACK] = "stack",
		[ADIT_SESSION] = "session",
		[ADIT_EITHER] = "either",
	};

	return names[kind];
}

bool
kinds_gost_has(enum adit_kind kind, const char *name)
{
	for (size_t i = 0; gost_names[kind][i]; i++)
		if (strcmp(gost_names[kind][i], name) == 0)
			return true;
	return false;
}

bool
kinds_registered(const struct config_kinds *kinds, enum adit_kind kind, const char *name)
{
	bool known = false;

	if (kinds && kinds->opts)
		kinds->opts(kinds->arg, kind, name, &known);
	return known;
}

bool
kinds_url_known(const struct config_kinds *kinds, enum adit_kind kind, const char *name)
{
	return kinds_gost_has(kind, name) || kinds_registered(kinds, kind, name);
}

void
kinds_nearest(const struct config_kinds *kinds, enum adit_kind kind, struct nearest *n)
{
	const char *name;

	if (!kinds || !kinds->name) {
		for (size_t i = 0; gost_names[kind][i]; i++)
			nearest_try(n, gost_names[kind][i]);
		return;
	}
	for (size_t i = 0; (name = kinds->name(kinds->arg, kind, i)); i++)
		nearest_try(n, name);
}
