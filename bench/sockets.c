#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/sockets.h"

enum { DATAGRAM_QUEUE = 4 << 20 };

long
sockets_number(const char *text, long most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text || n < 0 || n > most)
		errx(2, "%s: a number from 0 to %ld is expected", text, most);
	return n;
}

static struct sockaddr_in
loopback(long port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void
no_delay(int fd)
{
	static const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int
sockets_listen(long port)
{
	static const int on = 1;
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, SOMAXCONN))
		err(1, "listen on %ld", port);
	return fd;
}

int
sockets_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		no_delay(fd);
	return fd;
}

int
sockets_connect(long port)
{
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	no_delay(fd);
	return fd;
}

int
sockets_datagrams(long port, long to)
{
	static const int queue = DATAGRAM_QUEUE;
	struct sockaddr_in a = loopback(port), peer = loopback(to);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)))
		err(1, "UDP port %ld", port);
	if (to && connect(fd, (struct sockaddr *)&peer, sizeof(peer)))
		err(1, "to UDP port %ld", to);
	return fd;
}

volatile uint64_t *
sockets_counter(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t *counter;

	if (fd < 0 || ftruncate(fd, sizeof(*counter)))
		err(1, "%s", path);
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	return counter;
}

void
sockets_nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		err(1, "fcntl");
}

void
sockets_watch(int epoll, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
		err(1, "epoll_ctl");
}

void
sockets_prepare(void)
{
	struct rlimit limit;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
