/* Dialers `direct` and `virtual`: there is no node, and nothing to dial; for connector `direct`. */
#include <errno.h>

#include <adit/plugin.h>

/* A conn whose other end is gone: it is open, and no more. */
static struct adit_conn *
direct_dial(struct adit_dialer *d, const struct adit_dial *req, struct adit_err *e)
{
	struct adit_conn *c, *other;
	int err;

	(void)d;
	if (req->via) {
		adit_conn_close(req->via, -ENOTSUP);
		adit_err_set(e, ADIT_EUNSUPPORTED, "direct is for the first hop of a chain");
		return NULL;
	}
	err = adit_conn_pair(req->worker, req->worker, 1, &c, &other);
	if (err) {
		adit_err_set(e, err, "%s", adit_strerror(err));
		return NULL;
	}
	adit_conn_close(other, 0);
	return c;
}

#define DIRECT_DIALER(symbol, type, text) \
	const struct adit_dialer_ops symbol = { \
		.base = { \
			.abi = ADIT_ABI, \
			.size = sizeof(struct adit_dialer_ops), \
			.kind = ADIT_DIALER, \
			.name = (type), \
			.help = (text), \
			.instance = sizeof(struct adit_dialer), \
		}, \
		.dial = direct_dial, \
	}

DIRECT_DIALER(dialer_direct, "direct", "dials nothing: for connector direct");
DIRECT_DIALER(dialer_virtual, "virtual", "as direct");
