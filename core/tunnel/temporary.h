/*
 * Temporary names: where a server has a domain for them, each tunnel that is bound can be reached
 * by a name of its own below it (core/tunnel/endpoint.h), for as long as it is and a limited time.
 * So anybody may come and publish something; how many sessions come from one address is limited.
 *
 * Both, names and addresses, are further names of sessions in the tunnel table: any worker sees
 * them there, and a reload of the handler does not touch them.
 */
#ifndef ADIT_CORE_TEMPORARY_H
#define ADIT_CORE_TEMPORARY_H

#include <adit/plugin.h>

#include "core/wire/hostname.h"

#define TEMPORARY_DOMAIN_MAX 200
#define TEMPORARY_URL_SIZE (TEMPORARY_DOMAIN_MAX + 40)

struct temporary_conf {
	char		 domain[TEMPORARY_DOMAIN_MAX + 1];	/* without a dot in front; "": no
								 * names */
	uint16_t	 port;		/* where visitors come in; 0: not known */
	uint64_t	 ttl;		/* of a name, from a bind on, ns; 0: no limit */
	unsigned	 per_address;	/* sessions from one; 0: no limit */
};

/* A session's; embedded, and zeroed before use. */
struct temporary {
	struct adit_worker	*worker;
	struct adit_timer	*timer;		/* to the end of the name */
	uint64_t		 name, source;	/* its numbers in the tunnel table; 0: none */
};

/*
 * Reads "example.com", ".example.com" or "*.example.com", with or without ":port", to domain and
 * port. 0, or -EINVAL with e filled.
 */
int temporary_set_domain(struct temporary_conf *conf, const char *text, struct adit_err *e);

/* Whether that can be read: a check for an option row. */
int temporary_check_domain(const char *text, struct adit_err *e);

/*
 * A session of tunnel, from that address, begins on w: it has the name until temporary_drop, or
 * until time is up. 0; ADIT_ELIMIT: too many have come from there, or there is no memory; nothing
 * is left to undo then.
 */
int temporary_take(struct temporary *t, struct adit_worker *w, const struct temporary_conf *conf,
		   const struct adit_uuid *tunnel, const struct adit_addr *from);
void temporary_drop(struct temporary *t);	/* same worker; again is fine */

/* The rule for a host (normalised) that is such a name: 0 or ADIT_ENOROUTE. Any worker. */
int temporary_find(const struct temporary_conf *conf, struct adit_worker *w, const char *host,
		   struct adit_rule *out);

/*
 * Where tunnel is to be visited: a URL for TCP, the name alone for UDP. Returns out; "" if conf has
 * no domain. Any thread.
 */
const char *temporary_url(const struct temporary_conf *conf, const struct adit_uuid *tunnel,
			  enum adit_network network, char out[TEMPORARY_URL_SIZE]);

#endif
