/* dialer tcp: a TCP connection to the node, or what the hops before it have opened to it. */
#include <adit/plugin.h>

#include "core/conn/dial.h"
#include "core/conn/tcp_keepalive.h"

struct tcp_dialer {
	struct adit_dialer	base;
	struct tcp_keepalive	keepalive;
};

static const struct adit_opt tcp_dialer_opts[] = {
	TCP_KEEPALIVE_ROWS(struct tcp_dialer, keepalive),
	ADIT_OPT_END,
};

static struct adit_conn *
tcp_dialer_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	struct tcp_dialer *t = adit_container_of(d, struct tcp_dialer, base);

	if (req->via)
		return req->via;
	return tcp_dial_to(req->worker,
			   &(struct tcp_dial){
				   .host = req->host,
				   .port = req->port,
				   .addrs = req->addrs,
				   .n_addrs = req->n_addrs,
				   .keepalive = &t->keepalive,
			   },
			   e);
}

const struct adit_dialer_ops dialer_tcp = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(dialer_tcp),
		.kind = ADIT_DIALER,
		.name = "tcp",
		.help = "TCP",
		.instance = sizeof(struct tcp_dialer),
		.opts = tcp_dialer_opts,
	},
	.dial = tcp_dialer_dial,
};
