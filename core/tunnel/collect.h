/*
 * The bytes of a message that is not all there yet, as they come from a conn. Zero it before use;
 * core/wire's codecs say how much is needed.
 */
#ifndef ADIT_CORE_COLLECT_H
#define ADIT_CORE_COLLECT_H

#include <adit/conn.h>

struct collected {
	uint8_t	*buf;
	size_t	 len, cap;
};

/*
 * Reads on, up to need bytes in all and never more. 0: something came; -EAGAIN; -ECONNRESET for an
 * end; -ENOMEM, or c's own failure.
 */
int collect_more(struct collected *r, struct adit_conn *c, size_t need);
void collected_fini(struct collected *r);

#endif
