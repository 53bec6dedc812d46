/*
 * The listeners and dialers that are several others.
 */
#include <adit/plugin.h>

#include "core/service/race.h"

static const struct adit_stack told_auto = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(told_auto),
		.kind = ADIT_STACK,
		.name = "auto",
	},
	.over = "tcp",
	.layers = { "tls", "ws" },
};

const struct adit_either choice_auto = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(choice_auto),
		.kind = ADIT_EITHER,
		.name = "auto",
		.help = "QUIC, TLS or a WebSocket over TLS: a dialer takes what gets through, a "
			"listener what comes to its port, with and without TLS",
		.opts = race_rows,
	},
	.told = &told_auto,
	.beside = "quic",
	.dialers = { "quic", "tls", "wss" },
};
