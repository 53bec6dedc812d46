/*
 * PROXY headers (core/wire/proxy.h) on conns: taken off the front of one that was accepted, and put
 * in front of one that is dialed.
 */
#ifndef ADIT_CORE_PROXIED_H
#define ADIT_CORE_PROXIED_H

#include <adit/conn.h>

#include "core/wire/proxy.h"

/* What has come of a header. Zero it before use. */
struct proxied {
	char	buf[PROXY_V2_MAX];
	size_t	len;
};

/*
 * Reads on. 0: it is done with: c's remote is what the header says, if there is one and it says
 * something, and what was read too far is given back. -EAGAIN: more is needed; -EBADMSG: it begins
 * as a header and is none; -ESHUTDOWN for an end before that is known, or c's own failure.
 */
int proxied_read(struct proxied *p, struct adit_conn *c);

/*
 * A conn over lower (owned, also on failure; may still be opening) that begins with a header of
 * that version: from visitor, or, NULL, from nobody in particular. NULL: out of memory.
 */
struct adit_conn *proxied_conn(struct adit_conn *lower, unsigned version,
			       const struct adit_addr *visitor);

#endif
