/*
 * Names to addresses, by the system's own rules (getaddrinfo: nsswitch, hosts, resolv.conf as it is now) on a helper
 * thread. Nothing is cached: who dials again asks again, so a name that moved is followed, and a DNS that was not
 * there at the start is no lasting trouble.
 */
#ifndef ADIT_CORE_RESOLVER_H
#define ADIT_CORE_RESOLVER_H

#include <adit/addr.h>
#include <adit/worker.h>

#define RESOLVER_MS 5000	/* limit for an answer */
#define RESOLVER_MAX 16		/* addresses of one */

struct resolver_query;

/*
 * Asks for the addresses of host: a name, or a literal (with brackets or without), or "": this machine. done comes once, from
 * the loop, never from this call: 0 and n >= 1 addresses with port 0, families in turn beginning with the one
 * that the system prefers (RFC 8305, 4), borrowed for the call; or -EADDRNOTAVAIL (no such name), -ETIMEDOUT,
 * -EAGAIN (name servers out of reach), ... and n 0. NULL with e filled: nothing was asked.
 */
struct resolver_query *resolver_ask(struct adit_worker *w, const char *host,
				    void (*done)(void *arg, int err, const struct adit_addr *addrs, size_t n),
				    void *arg, struct adit_err *e);

/* done will not come. Not from done. NULL is fine. */
void resolver_cancel(struct resolver_query *q);

#endif
