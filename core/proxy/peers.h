/*
 * Who has sent something to a port, a short while ago: whom it may send to. Of a limited number:
 * one more takes the place of the one that was silent for longest. No clock of its own; one thread.
 */
#ifndef ADIT_CORE_PROXY_PEERS_H
#define ADIT_CORE_PROXY_PEERS_H

#include <adit/addr.h>

struct peers;

/* At most max at a time, each for ttl ns after it was heard. NULL: out of memory. */
struct peers *peers_new(unsigned max, uint64_t ttl);
void peers_free(struct peers *p);		/* NULL is fine */

/* from has sent something at now. Without memory it is not noted. */
void peers_heard(struct peers *p, const struct adit_addr *from, uint64_t now);

/*
 * The address of the one who was heard from there, whatever interface that names; p's until the
 * next call. NULL: nobody, or too long ago.
 */
const struct adit_addr *peers_find(struct peers *p, const struct adit_addr *at, uint64_t now);

#endif
