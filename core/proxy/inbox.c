#include "core/proxy/inbox.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/conn/conn.h"
#include "core/wire/hostname.h"

#define IGNORED 64		/* reads of one turn */

int
inbox_fill(struct inbox *in, struct adit_conn *c)
{
	ssize_t n;

	if (in->len == sizeof(in->buf))
		return -EMSGSIZE;
	n = adit_conn_read(c, in->buf + in->len, sizeof(in->buf) - in->len);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return (int)n;
	in->len += (size_t)n;
	return 0;
}

void
inbox_drop(struct inbox *in, size_t n)
{
	in->len -= n;
	memmove(in->buf, in->buf + n, in->len);
}

int
inbox_give_back(struct inbox *in, struct adit_conn *c)
{
	int err = in->len ? adit_conn_unread(c, in->buf, in->len) : 0;

	in->len = 0;
	return err;
}

int
inbox_answer(struct adit_conn *c, const void *message, size_t len)
{
	ssize_t n = conn_write_now(c, message, len);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -ENOBUFS;
}

int
inbox_ignore(struct adit_conn *c)
{
	uint8_t buf[512];
	ssize_t n = 1;

	for (int i = 0; n > 0 && i < IGNORED; i++)
		n = adit_conn_read(c, buf, sizeof(buf));
	if (n > 0)
		return -EAGAIN;
	return n ? (int)n : -ESHUTDOWN;
}

int
inbox_target(const struct wire_addr *a, char host[WIRE_ADDR_TEXT], struct adit_target *to)
{
	char normal[HOSTNAME_MAX + 1];

	to->host = host;
	to->port = a->port;
	if (a->type == WIRE_ADDR_NONE)
		return -EINVAL;
	wire_addr_host(a, host);
	if (a->type != WIRE_ADDR_NAME)
		return 0;
	if (hostname_normalise(host, a->len, normal) < 0)
		return -EINVAL;
	strcpy(host, normal);
	return 0;
}

struct wire_addr
inbox_addr(const struct adit_addr *a)
{
	struct wire_addr out = { .type = WIRE_ADDR_IPV4 };
	struct sockaddr_storage ss;

	if (adit_addr_to(a, &ss))
		wire_addr_from_sockaddr((struct sockaddr *)&ss, &out);
	return out;
}
