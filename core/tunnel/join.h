/*
 * A visitor who came by a connection of his own (not by an entry point): a conn is opened for him
 * in the tunnel, he is told whether, and the two are joined.
 */
#ifndef ADIT_CORE_JOIN_H
#define ADIT_CORE_JOIN_H

#include <adit/plugin.h>
#include <adit/tunnel.h>

#include "core/identity/permit.h"

struct join_conf {
	struct adit_component	*component;	/* the handler's */
	struct adit_open	 req;		/* borrowed for the call */
	struct permit		*permit;	/* taken; NULL: none was needed */

	/* Tell the visitor, in his protocol: 0, or why that failed; why not, and close c. */
	int			(*agree)(struct adit_conn *c);
	void			(*refuse)(struct adit_conn *c, int err);
};

/* Takes visitor. An activity of the component until it ends, then a line in the log. */
void join_visitor(struct adit_conn *visitor, const struct join_conf *conf);

#endif
