/*
 * The listeners and dialers that are several others.
 */
#include <adit/plugin.h>

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
		.help = "what the client speaks, at one port: QUIC over UDP; over TCP, TLS or "
			"not and a WebSocket or not, told by the first bytes",
	},
	.told = &told_auto,
	.beside = "quic",
};
