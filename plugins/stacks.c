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

const struct adit_stack stack_mtcp = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_mtcp),
		.kind = ADIT_STACK,
		.name = "mtcp",
		.help = "smux over TCP: each stream is a connection",
	},
	.over = "tcp",
	.mux = "smux2",
};

const struct adit_stack stack_mtls = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_mtls),
		.kind = ADIT_STACK,
		.name = "mtls",
		.help = "smux over TLS over TCP: each stream is a connection",
	},
	.over = "tcp",
	.layers = { "tls" },
	.mux = "smux1",
};

const struct adit_stack stack_mws = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_mws),
		.kind = ADIT_STACK,
		.name = "mws",
		.help = "smux in a WebSocket: each stream is a connection",
	},
	.over = "tcp",
	.layers = { "ws" },
	.mux = "smux1",
};

const struct adit_stack stack_mwss = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_mwss),
		.kind = ADIT_STACK,
		.name = "mwss",
		.help = "smux in a WebSocket over TLS: each stream is a connection",
	},
	.over = "tcp",
	.layers = { "tls", "ws" },
	.mux = "smux1",
};

const struct adit_stack stack_h2 = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_h2),
		.kind = ADIT_STACK,
		.name = "h2",
		.help = "HTTP/2 over TLS: each stream is a connection",
	},
	.over = "tcp",
	.layers = { "tls-h2" },
	.mux = "h2",
};

const struct adit_stack stack_h2c = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(stack_h2c),
		.kind = ADIT_STACK,
		.name = "h2c",
		.help = "HTTP/2 over TCP: each stream is a connection",
	},
	.over = "tcp",
	.mux = "h2c",
};
