/*
 * An errand: a conn whose peer asked for a target, in whatever protocol. The target is dialed, the
 * peer is told whether it was reached, and the two are joined until both have ended. Handlers of
 * proxies read the request and leave the rest to this.
 */
#ifndef ADIT_CORE_ERRAND_H
#define ADIT_CORE_ERRAND_H

#include <adit/plugin.h>

/* What the peer's protocol has to say, and to know. arg is conf's. */
struct errand_ops {
	/*
	 * The target was reached over far: tells the peer. May give another conn in near's place:
	 * one over it, or the one below. 0, or why it could not be told: near is closed then, but
	 * where it is NULL, for that was closed here.
	 */
	int	(*agree)(void *arg, struct adit_conn **near, struct adit_conn *far);

	/* It was not: tells the peer and closes near, with its last words on their way. */
	void	(*refuse)(void *arg, struct adit_conn *near, int err);

	/* optional: both are closed. Called once, last of all, also after a refusal. */
	void	(*over)(void *arg);
};

/* The last line of c, whose peer asked for nothing: it went, was too slow, or said no request. */
void errand_log_none(const struct adit_component *p, const struct adit_conn *c, int err,
		     const char *text);

struct errand_conf {
	const struct errand_ops		*ops;
	void				*arg;		/* lives until over, or as long as near */
	struct adit_handler		*handler;	/* whose chain is dialed through */
	const struct adit_target	*to;		/* borrowed for the call; NULL: a node of
							 * the handler's forwarder */
	uint64_t			 idle;		/* as adit_pump_opts */
};

/*
 * Takes near, open. An activity of the handler's component while it lasts, then a line in the log.
 * Nothing of conf is called before this returns, but where there is no memory: over.
 */
void errand(struct adit_conn *near, const struct errand_conf *conf);

/*
 * The same where both are there and agreed: joins them, which it takes. host: what was asked for,
 * for the log; copied, may be NULL. component: the handler's.
 */
void errand_join(struct adit_component *component, struct adit_conn *near, struct adit_conn *far,
		 const char *host);

#endif
