#include "core/tunnel/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
collect_reserve(struct collected *r, size_t need)
{
	uint8_t *buf;

	if (need <= r->cap)
		return 0;
	buf = malloc(need);
	if (!buf)
		return -ENOMEM;
	if (r->buf) {
		memcpy(buf, r->buf, r->len);
		explicit_bzero(r->buf, r->cap);
	}
	free(r->buf);
	r->buf = buf;
	r->cap = need;
	return 0;
}

int
collect_more(struct collected *r, struct adit_conn *c, size_t need)
{
	ssize_t n;

	if (collect_reserve(r, need) < 0)
		return -ENOMEM;
	n = adit_conn_read(c, r->buf + r->len, need - r->len);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return (int)n;
	r->len += (size_t)n;
	return 0;
}

void
collected_fini(struct collected *r)
{
	if (r->buf)
		explicit_bzero(r->buf, r->cap);
	free(r->buf);
	*r = (struct collected){ .buf = NULL };
}
