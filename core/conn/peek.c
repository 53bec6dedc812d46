#include "core/conn/peek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PEEK_STEP 2048

int
peek_read(struct peek *p, struct adit_conn *c, size_t max)
{
	ssize_t got;

	if (p->len == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : PEEK_STEP;
		uint8_t *buf = cap <= max ? realloc(p->buf, cap) : NULL;

		if (!buf)
			return cap <= max ? -ENOMEM : -EMSGSIZE;
		p->buf = buf;
		p->cap = cap;
	}
	got = adit_conn_read(c, p->buf + p->len, p->cap - p->len);
	if (got <= 0)
		return got ? (int)got : -ESHUTDOWN;
	p->len += (size_t)got;
	return 0;
}

int
peek_give_back(struct peek *p, struct adit_conn *c)
{
	int err = p->len ? adit_conn_unread(c, p->buf, p->len) : 0;

	peek_fini(p);
	return err;
}

void
peek_fini(struct peek *p)
{
	if (p->len)
		explicit_bzero(p->buf, p->len);
	free(p->buf);
	*p = (struct peek){ .buf = NULL };
}
