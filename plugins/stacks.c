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
