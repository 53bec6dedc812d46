/*
 * What a client of a proxy may have us listen for.
 *
 * The BIND of SOCKS 5 is for one connection, which is then joined with the client's own. Relay's,
 * and gost's of SOCKS 5, turns the client's connection into a session of smux 1 in which we open a
 * stream for each that comes.
 */
#ifndef ADIT_CORE_PROXY_BIND_H
#define ADIT_CORE_PROXY_BIND_H

#include <adit/plugin.h>

#include "core/wire/addr.h"

/*
 * Where a client's address asks us to listen: all addresses where it leaves the host open. 0, or
 * -EINVAL for a name, which is none of ours.
 */
int bind_address(const struct wire_addr *asked, struct adit_addr *at);

struct bind_conf {
	struct adit_handler	*handler;
	struct adit_addr	 at;		/* as port_open's */
	struct adit_addr	 expected;	/* of one: who may come; family 0: anybody */

	/*
	 * Tells the client where we listen, in c; then in each stream (of a session), or in c (for
	 * the one), who has come. 0, or why it cannot be told.
	 */
	int			(*listening)(struct adit_conn *c, const struct adit_addr *at);
	int			(*arrived)(struct adit_conn *c, const struct adit_addr *peer);
};

/*
 * Listens and serves, for one connection or in a session. Takes c, whose request was read. An
 * activity of the handler's component while it lasts. 0; or why not, with e filled: c is still the
 * caller's, and nothing was told.
 */
int bind_one(struct adit_conn *c, const struct bind_conf *conf, struct adit_err *e);
int bind_session(struct adit_conn *c, const struct bind_conf *conf, struct adit_err *e);

#endif
