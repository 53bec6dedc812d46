/*
 * Connectors `direct` and `virtual`: there is no node. The target is dialed from here, or refused.
 */
#include <errno.h>

#include <adit/plugin.h>

#include "core/service/route.h"

struct direct_connector {
	struct adit_connector	base;
	int			action;
};

static const char *const actions[] = { "dial", "reject", NULL };

static const struct adit_opt direct_opts[] = {
	{ .name = "action", .type = ADIT_OPT_ENUM, .values = actions, .def = "dial",
	  .offset = offsetof(struct direct_connector, action),
	  .help = "dial: reach the target from here; reject: reach nothing" },
	ADIT_OPT_END,
};

static struct adit_conn *
direct_connect(struct adit_connector *n, struct adit_conn *lower, const struct adit_target *to,
	       const struct adit_addr *visitor, struct adit_err *e)
{
	struct direct_connector *d = adit_container_of(n, struct direct_connector, base);
	struct adit_worker *w = adit_conn_worker(lower);

	adit_conn_close(lower, 0);	/* dialer direct's, which leads nowhere */
	if (!d->action)
		return chain_dial(NULL, w, to, visitor, e);
	adit_err_set(e, ADIT_EFORBIDDEN, "%s: rejected", to->host);
	return NULL;
}

#define DIRECT_CONNECTOR(symbol, type, text) \
	const struct adit_connector_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_connector_ops), \
			.kind = ADIT_CONNECTOR, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct direct_connector), \
			.opts = direct_opts, \
		}, \
		.connect = direct_connect, \
	}

DIRECT_CONNECTOR(connector_direct, "direct", "reaches the target from here: there is no node");
DIRECT_CONNECTOR(connector_virtual, "virtual", "as direct");
