/*
 * The question of a group's external authentication: a GET to its endpoint with the credential that
 * a client has shown, and the group's name in X-Reverst-Tunnel-Group, which reverst does not send.
 * Status 200 lets the client in, any other refuses it; a redirect is followed at the same server.
 */
#ifndef ADIT_CORE_REVERST_EXTERNAL_H
#define ADIT_CORE_REVERST_EXTERNAL_H

#include <adit/err.h>
#include <adit/worker.h>

#include "core/reverst/groups.h"

#define EXTERNAL_MAX 64			/* questions of one counter at once */
#define EXTERNAL_ANSWER_MAX (1 << 20)	/* bytes; nobody reads them */
#define EXTERNAL_LIMIT_NS ADIT_SECONDS(5)

struct external;
struct tls_source;

/* err: 0; ADIT_EUNAUTH: refused; else there was no answer. e says more, but of 0: NULL. */
typedef void external_done(void *arg, int err, const struct adit_err *e);

struct external_conf {
	const struct group	*group;		/* needed until external_ask returns, */
	struct group_ask	 ask;		/* as group_verify gave it; this too */
	struct tls_source	*tls;		/* for https; lives as long as the question */
	unsigned		*under_way;	/* of w alone: how many there are; lives as long */
};

/*
 * Begins it. done is called once, by the loop, unless it is cancelled before. NULL with e filled,
 * and nothing was begun: ADIT_EUNAUTH where no endpoint could be shown such a credential,
 * ADIT_ELIMIT where there are too many questions. On w, as all below.
 */
struct external *external_ask(struct adit_worker *w, const struct external_conf *conf,
			      external_done *done, void *arg, struct adit_err *e);

/* Before done: it is not called any more. NULL is fine. */
void external_cancel(struct external *x);

#endif
