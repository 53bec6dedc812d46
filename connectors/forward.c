/*
 * connectors forward and tcp: nothing is asked of the node. It is the target, or knows by itself
 * where to go on.
 */
#include <adit/plugin.h>

static struct adit_conn *
forward_connect(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *to,
		const struct adit_addr *visitor, struct adit_err *e)
{
	(void)n;
	(void)to;
	(void)visitor;
	(void)e;
	return lower;
}

const struct adit_connector_ops connector_forward = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(connector_forward),
		.kind = ADIT_CONNECTOR,
		.name = "forward",
		.help = "asks the node for nothing: the node is the target",
		.instance = sizeof(struct adit_connector),
	},
	.connect = forward_connect,
};

const struct adit_connector_ops connector_tcp = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(connector_tcp),
		.kind = ADIT_CONNECTOR,
		.name = "tcp",
		.help = "as forward",
		.instance = sizeof(struct adit_connector),
	},
	.connect = forward_connect,
};
