#include "core/service/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/opening.h"
#include "core/service/route.h"

#define HOST_SIZE 256

/* A way that is looked for. */
struct journey {
	struct adit_conn	*conn;		/* the caller's */
	struct router		*router;
	struct adit_component	*component;	/* referenced: the router is its service's */
	struct adit_worker	*worker;
	struct adit_target	 to;		/* host: the one below */
	char			 host[HOST_SIZE];
	struct adit_addr	 visitor;	/* family 0: nobody in particular */
	struct names_query	*query;		/* while the name is asked for */
	struct adit_conn	*far;		/* while it opens; owned */
	struct adit_timer	*limit;		/* of a try */
	unsigned		 tries;		/* that failed */
};

/* ---- the end ----------------------------------------------------------------------------- */

static void
journey_free(struct journey *j)
{
	name_servers_cancel(j->query);
	adit_timer_free(j->limit);
	adit_conn_close(j->far, -ECANCELED);
	adit_component_put(j->component);
	free(j);
}

static void
journey_cancelled(void *arg)
{
	journey_free(arg);
}

/* ---- a try ------------------------------------------------------------------------------- */

/* To the addresses that are known of it: a chain is asked for the first one. */
static struct adit_conn *
router_go(const struct router *r, struct adit_worker *w, const struct adit_target *to,
	  const struct adit_addr *addrs, size_t n, const struct adit_addr *visitor,
	  struct adit_err *e)
{
	struct adit_target known = *to;
	char text[ADIT_ADDR_TEXT];

	if (!n)
		return chain_dial(r->chain, w, to, visitor, e);
	known.name = to->host;
	known.host = adit_addr_format_ip(&addrs[0], text);
	known.addrs = addrs;
	known.n_addrs = n;
	return chain_dial(r->chain, w, &known, visitor, e);
}

static void journey_begin(struct journey *j);	/* again, from within */

/* text: why, in words, or NULL. */
static void
journey_failed(struct journey *j, int err, const char *text)
{
	struct adit_conn *conn = j->conn;

	adit_timer_stop(j->limit);
	if (j->tries++ < j->router->retries) {
		adit_conn_close(j->far, err);
		j->far = NULL;
		journey_begin(j);
		return;
	}
	conn_explain(conn, text);
	journey_free(j);
	opening_fail(conn, err);
}

static void
journey_event(void *owner, struct adit_conn *far, unsigned events)
{
	struct journey *j = owner;
	struct adit_conn *conn = j->conn;
	int err = adit_conn_err(far);

	(void)events;
	if (err) {
		adit_conn_set_code(conn, adit_conn_code(far));
		journey_failed(j, err, conn_failure(far));
		return;
	}
	j->far = NULL;
	journey_free(j);
	adit_conn_own(far, NULL, NULL);
	adit_conn_want(far, 0);
	opening_set(conn, far);
}

static void
journey_late(void *arg)
{
	struct journey *j = arg;

	name_servers_cancel(j->query);
	j->query = NULL;
	journey_failed(j, -ETIMEDOUT, NULL);
}

static void
journey_go(struct journey *j, const struct adit_addr *addrs, size_t n)
{
	struct adit_err e = ADIT_ERR_INIT;

	j->far = router_go(j->router, j->worker, &j->to, addrs, n,
			   j->visitor.family ? &j->visitor : NULL, &e);
	if (!j->far) {
		journey_failed(j, e.code ? e.code : ADIT_ETARGET, e.text);
		return;
	}
	adit_conn_own(j->far, journey_event, j);
	adit_conn_want(j->far, ADIT_OPEN);
}

static void
journey_resolved(void *arg, int err, const struct adit_addr *addrs, size_t n)
{
	struct journey *j = arg;

	j->query = NULL;
	if (err)
		journey_failed(j, err, NULL);
	else
		journey_go(j, addrs, n);
}

static void
journey_begin(struct journey *j)
{
	const struct names *names = &j->router->names;
	struct adit_addr addrs[RESOLVER_MAX];
	struct adit_err e = ADIT_ERR_INIT;
	bool path = j->to.network == ADIT_UNIX;
	size_t n = path ? 0 : names_known(names, j->to.host, addrs);

	if (j->router->timeout)
		adit_timer_set(j->limit, j->router->timeout);
	if (n || path || !names_asks(names, j->to.host)) {
		journey_go(j, addrs, n);
		return;
	}
	j->query = names_ask(names, j->worker, j->to.host, journey_resolved, j, &e);
	if (!j->query)
		journey_failed(j, e.code, e.text);
}

/* ---- the beginning ------------------------------------------------------------------------ */

static struct journey *
journey_new(struct router *r, struct adit_component *component, struct adit_worker *w)
{
	struct journey *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	adit_component_get(component);
	j->router = r;
	j->component = component;
	j->worker = w;
	j->limit = adit_timer_new(w, journey_late, j);
	j->conn = j->limit ? opening_new(w, journey_cancelled, j) : NULL;
	if (j->conn)
		return j;
	journey_free(j);
	return NULL;
}

/* A target that needs no more than one step, as most. */
static bool
is_simple(const struct router *r, const struct adit_target *to, size_t known)
{
	return !r->retries && !r->timeout &&
	       (known || to->network == ADIT_UNIX || !names_asks(&r->names, to->host));
}

struct adit_conn *
router_dial(struct router *r, struct adit_component *component, struct adit_worker *w,
	    const struct adit_target *to, const struct adit_addr *visitor, struct adit_err *e)
{
	struct adit_addr addrs[RESOLVER_MAX];
	size_t n = to->network == ADIT_UNIX ? 0 : names_known(&r->names, to->host, addrs);
	struct adit_conn *conn;
	struct journey *j;

	if (is_simple(r, to, n))
		return router_go(r, w, to, addrs, n, visitor, e);
	if (strlen(to->host) >= HOST_SIZE) {
		adit_err_set(e, ADIT_ENOHOST, "a name of more than %d bytes", HOST_SIZE - 1);
		return NULL;
	}
	j = journey_new(r, component, w);
	if (!j) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	j->to = *to;
	j->to.host = strcpy(j->host, to->host);
	if (visitor)
		j->visitor = *visitor;
	conn = j->conn;
	journey_begin(j);
	return conn;
}
