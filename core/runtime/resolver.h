/*
 * Names to addresses, without blocking. Literals, /etc/hosts and localhost are answered from here;
 * everything else by DNS (libevent's evdns on the worker's loop), with the servers and search
 * domains of /etc/resolv.conf as it is now: a process may start before its network. Nothing is
 * remembered, so each attempt sees what the servers say at that time.
 *
 * The C library blocks: with servers that do not answer, a few names would hold all helper threads
 * for many seconds, and the end of the process too. So it is asked, on the helper pool, only about
 * names that the servers answered for without an address. It may know more: by TCP, where an answer
 * is too large for a datagram (evdns has no TCP and takes such a name for missing), and by
 * nsswitch.conf.
 */
#ifndef ADIT_CORE_RESOLVER_H
#define ADIT_CORE_RESOLVER_H

#include <adit/addr.h>
#include <adit/worker.h>

#define RESOLVER_MAX 16		/* addresses of a name */
#define RESOLVER_MS 5000	/* then -ETIMEDOUT */
#define RESOLVER_QUERIES 1024	/* under way in a worker; then literals alone are taken */

struct addrinfo;
struct resolver_query;		/* one name, until it is answered or cancelled */

/*
 * Asks for the addresses of host: a name, a literal (with brackets or without), or "": this
 * machine. done comes once, from the loop, never from this call; the query is gone then. It gets 0
 * and n > 0 addresses with port 0, borrowed for the call, families in turn (RFC 8305, section 4):
 * IPv6 first, unless there is no way to it from here. Or n 0 and ADIT_ENOHOST (there is no such
 * name, or it has no address), ADIT_ERESOLVE (the servers could not say), -ETIMEDOUT,
 * ADIT_ESTOPPED. NULL with e filled: nothing was asked (ADIT_ELIMIT, -ENOMEM).
 */
typedef void resolver_cb(void *arg, int err, const struct adit_addr *addrs, size_t n);

struct resolver_query *resolver_ask(struct adit_worker *w, const char *host, resolver_cb *done,
				    void *arg, struct adit_err *e);

/* done will not come. NULL is fine. */
void resolver_cancel(struct resolver_query *q);

/* What is asked instead of the system's, from the next question on: for tests. */
struct resolver_system {
	const char	*resolv_conf, *hosts;
	int		(*getaddrinfo)(const char *name, const char *service,
				       const struct addrinfo *hints, struct addrinfo **out);
	unsigned	ms;		/* instead of RESOLVER_MS */
};

/* Strings are copied. 0 or -ENOMEM. */
int resolver_use(struct adit_worker *w, const struct resolver_system *s);

#endif
