/*
 * Who the client is, as HTTP fields say it. From a peer that is not trusted they are removed,
 * whatever their spelling, and made anew from the connection; from one that is they are kept and
 * added to. Forwarded (RFC 7239) says the same in one field; it is not begun here, but believed
 * where there is no X-Forwarded-For, and added to.
 */
#ifndef ADIT_CORE_FORWARDED_H
#define ADIT_CORE_FORWARDED_H

#include <adit/addr.h>
#include <adit/exchange.h>
#include <adit/opt.h>

/*
 * Sets X-Forwarded-For, -Host and -Proto on a request that peer sent in the clear. trusted:
 * addresses and networks as text (checked by forwarded_check). client gets the address to take for
 * the client's: peer, or the last one in a trusted peer's X-Forwarded-For (or Forwarded) that is
 * not trusted itself. 0 or -ENOMEM, -E2BIG.
 */
int forwarded_set(struct adit_fields *f, const struct adit_addr *peer,
                  const struct adit_strings *trusted, struct adit_addr *client);

/*
 * Whether trusted, which passed forwarded_check, has peer: an address of it, or in a network.
 */
bool forwarded_is_trusted(const struct adit_strings *trusted, const struct adit_addr *peer);

/*
 * Adds node to the list of servers that the request came through: a loop may be longer than one of
 * them. 0 or -ENOMEM, -E2BIG.
 */
int forwarded_add_node(struct adit_fields *f, const char *node);

/*
 * Whether a text is an address or a network: a check for an option row. 0, or ADIT_ECONFIG and e.
 */
int forwarded_check_network(const char *text, struct adit_err *e);

/* The same of all of them. */
int forwarded_check(const struct adit_strings *trusted, struct adit_err *e);

#endif
