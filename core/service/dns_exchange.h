/*
 * One question to one name server, and its answer: by UDP (by TCP where the answer is too large for
 * it), TCP, TLS (RFC 7858) or HTTPS (RFC 8484), directly or through a chain.
 */
#ifndef ADIT_CORE_DNS_EXCHANGE_H
#define ADIT_CORE_DNS_EXCHANGE_H

#include <adit/worker.h>

#include "core/wire/dns.h"

struct chain;
struct tls_source;

enum dns_transport { DNS_OVER_UDP, DNS_OVER_TCP, DNS_OVER_TLS, DNS_OVER_HTTPS };

struct dns_server {
	enum dns_transport	 how;
	char			 host[256];
	uint16_t		 port;
	char			 authority[270];	/* for HTTPS, as path */
	char			 path[256];
	uint64_t		 timeout;	/* ns, for all of it; not 0 */
	struct chain		*chain;		/* NULL: directly */
	struct tls_source	*tls;		/* of TLS and HTTPS */
};

struct dns_exchange;

/*
 * Asks. done comes once, from the loop: the answer to q with err 0, or why there is none. server
 * and q's name are borrowed until then. The question's id is chosen here. NULL with e filled. On w.
 */
struct dns_exchange *dns_exchange(const struct dns_server *server, struct adit_worker *w,
				  const struct dns_question *q,
				  void (*done)(void *arg, int err, const struct dns_answer *a),
				  void *arg, struct adit_err *e);

/* done will not come. NULL is fine. */
void dns_exchange_cancel(struct dns_exchange *x);

#endif
