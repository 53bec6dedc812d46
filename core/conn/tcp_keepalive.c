#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/conn/tcp_keepalive.h"

static int
keepalive_seconds(uint64_t ns)
{
	return ns ? (int)((ns + ADIT_SECONDS(1) - 1) / ADIT_SECONDS(1)) : TCP_KEEPALIVE_IDLE;
}

void
tcp_keepalive_set(int fd, const struct tcp_keepalive *k)
{
	int on = k->on, idle = keepalive_seconds(k->idle);
	int interval = keepalive_seconds(k->interval);
	int count = k->count ? (int)k->count : TCP_KEEPALIVE_COUNT;

	/* None of these is worth refusing a connection for. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (!on)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}
