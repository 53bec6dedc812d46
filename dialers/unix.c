/* dialer unix: a Unix socket of this machine, or what the hops before it have opened to it. */
#include <adit/plugin.h>

#include "core/conn/tcp.h"

static struct adit_conn *
unix_dialer_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	if (req->via)
		return req->via;
	return unix_connect(req->worker, adit_component_address(d->component), e);
}

static int
unix_dialer_init(struct adit_dialer *d, struct adit_err *e)
{
	const char *path = adit_component_address(d->component);

	if (path && *path)
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "dialer unix needs a path for addr");
}

const struct adit_dialer_ops dialer_unix = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(dialer_unix),
		.kind = ADIT_DIALER,
		.name = "unix",
		.help = "a Unix socket: the address is its path",
		.instance = sizeof(struct adit_dialer),
	},
	.dial = unix_dialer_dial,
	.init = unix_dialer_init,
};
