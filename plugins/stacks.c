/*
 * The listeners and dialers that are nothing but layers over others.
 */
#include <adit/plugin.h>

const struct adit_stack stack_tls = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_tls),
		.kind = ADIT_STACK,
		.name = "tls",
		.help = "TLS over TCP",
	},
	.over = "tcp",
	.layers = { "tls" },
};

const struct adit_stack stack_ws = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_ws),
		.kind = ADIT_STACK,
		.name = "ws",
		.help = "WebSocket over TCP",
	},
	.over = "tcp",
	.layers = { "ws" },
};

const struct adit_stack stack_wss = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_wss),
		.kind = ADIT_STACK,
		.name = "wss",
		.help = "WebSocket over TLS over TCP",
	},
	.over = "tcp",
	.layers = { "tls", "ws" },
};
