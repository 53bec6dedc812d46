/*
 * What a connector asks a tunnel's server for, once the way there is open: only then is it known
 * which wire the two speak.
 */
#ifndef ADIT_CORE_REACH_H
#define ADIT_CORE_REACH_H

#include <adit/mux.h>
#include <adit/plugin.h>

struct reach_ask {
	struct adit_target	 to;
	struct adit_addr	 visitor;	/* family 0: none */
};

/* Both are called with lower open, which they own from then on; NULL with e filled. */
struct reach_conf {
	unsigned		 ms;		/* for lower to open */
	struct adit_conn	*(*connect)(void *arg, struct adit_conn *lower,
					    const struct reach_ask *ask, struct adit_err *e);
	struct adit_mux		*(*bind)(void *arg, struct adit_conn *lower,
					 const struct reach_ask *ask, struct adit_err *e);
	void			*arg;		/* lives as long as what is returned opens */
};

/* Take lower, open or opening. ask is copied, conf borrowed as arg. NULL with e filled. */
struct adit_conn *reach_connect(struct adit_conn *lower, const struct reach_ask *ask,
				const struct reach_conf *conf, struct adit_err *e);
struct adit_mux *reach_bind(struct adit_conn *lower, const struct reach_ask *ask,
			    const struct reach_conf *conf, struct adit_err *e);

#endif
