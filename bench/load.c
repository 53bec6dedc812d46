/*
 * Both ends of a benchmark: what answers behind the tunnel and what asks in front of it, over
 * HTTP/1.1 with the same requests whatever is between. Each mode is one thread.
 *
 *   load sink PORT STAT
 *	answers GET /big with an endless body, GET /upgrade with a 101 and then an echo, another GET
 *	with two bytes; anything else is read and dropped
 *   load down PORT HOST STREAMS STAT
 *	asks for /big on so many connections, and reads
 *   load up PORT HOST STREAMS STAT
 *	sends endless bodies
 *   load idle PORT HOST VISITORS [upgrade]
 *	opens so many connections with one exchange each, says how long it took, and holds them
 *
 * They run until SIGTERM. STAT is a file of one native uint64, the bytes received so far, which the
 * driver maps, so that it reads bytes and CPU time at the same moment.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bench/modes.h"
#include "bench/sockets.h"

enum { BUF = 256 * 1024, EVENTS = 64, FILES = 1 << 17, ANSWER_SECONDS = 10 };

#define ENDLESS "Content-Length: 1099511627776\r\n\r\n"

static char buf[BUF];
static volatile uint64_t *received;

static void
write_all(int fd, const char *at, size_t len)
{
	while (len) {
		ssize_t n = write(fd, at, len);

		if (n <= 0)
			err(1, "write");
		at += n;
		len -= (size_t)n;
	}
}

/* ---- the sink ----------------------------------------------------------------------- */

/* What a connection does is chosen by a request's first bytes; ANSWERS may be asked again. */
enum role { ANSWERS, DROPS, SENDS, ECHOES };

static const char big_head[] = "HTTP/1.1 200 OK\r\n" ENDLESS;
static const char small_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char switching[] =
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n";

/* A short answer into an empty socket buffer: it fits, or the visitor has gone. */
static void
answer(int fd, const char *at, size_t len)
{
	if (write(fd, at, len) < (ssize_t)len)
		shutdown(fd, SHUT_RDWR);
}

static bool
begins(const char *at, size_t len, const char *with)
{
	return len >= strlen(with) && !memcmp(at, with, strlen(with));
}

static enum role
classify(int fd, const char *at, size_t len)
{
	if (begins(at, len, "GET /big ")) {
		answer(fd, big_head, sizeof(big_head) - 1);
		return SENDS;
	}
	if (begins(at, len, "GET /upgrade ")) {
		answer(fd, switching, sizeof(switching) - 1);
		return ECHOES;
	}
	return begins(at, len, "GET ") ? ANSWERS : DROPS;
}

static int sink_epoll;
static unsigned char roles[FILES];

static void
sink_received(int fd, size_t len)
{
	bool asked = roles[fd] == ANSWERS;

	*received += len;
	if (asked)
		roles[fd] = (unsigned char)classify(fd, buf, len);
	if (roles[fd] == ANSWERS)
		answer(fd, small_answer, sizeof(small_answer) - 1);
	if (roles[fd] == ECHOES && !asked)
		answer(fd, buf, len);
	if (roles[fd] == SENDS) {
		struct epoll_event ev = { .events = EPOLLOUT, .data.fd = fd };

		epoll_ctl(sink_epoll, EPOLL_CTL_MOD, fd, &ev);
	}
}

static void
sink_serve(int fd)
{
	ssize_t n = roles[fd] == SENDS ? write(fd, buf, BUF) : read(fd, buf, BUF);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		close(fd);
	else if (n > 0 && roles[fd] != SENDS)
		sink_received(fd, (size_t)n);
}

static void
sink_accept(int listener)
{
	int fd = sockets_accept(listener);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return;
	if (fd >= FILES)
		errx(1, "more than %d connections", FILES);
	sockets_nonblocking(fd);
	roles[fd] = ANSWERS;
	epoll_ctl(sink_epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void
run_sink(char **args)
{
	int listener = sockets_listen(sockets_number(args[0], UINT16_MAX));
	struct epoll_event ev[EVENTS] = { { .events = EPOLLIN, .data.fd = listener } };

	received = sockets_counter(args[1]);
	sink_epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(sink_epoll, EPOLL_CTL_ADD, listener, ev);
	while (!modes_stop) {
		int n = epoll_wait(sink_epoll, ev, EVENTS, 1000);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == listener)
				sink_accept(listener);
			else
				sink_serve(ev[i].data.fd);
		}
	}
}

/* ---- the visitors --------------------------------------------------------------------- */

/* Connects and sends a request's head. The socket blocks, but no read for ever. */
static int
visit(long port, const char *request, const char *host, const char *fields)
{
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	char head[512];
	int fd = sockets_connect(port);
	int len = snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: %s\r\n%s", request, host,
			   fields);

	if (fd < 0)
		err(1, "connect to %ld", port);
	if (len >= (int)sizeof(head))
		errx(2, "host name too long");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	write_all(fd, head, (size_t)len);
	return fd;
}

/* Reads the first bytes of an answer, which must begin with the status. */
static size_t
expect(int fd, const char *status)
{
	ssize_t n = read(fd, buf, BUF);

	if (n <= 0)
		errx(1, "no answer");
	if (!begins(buf, (size_t)n, "HTTP/1.1 ") || !begins(buf + 9, (size_t)n - 9, status))
		errx(1, "not %s: %.*s", status, (int)(n < 60 ? n : 60), buf);
	return (size_t)n;
}

static void
run_down(char **args)
{
	long port = sockets_number(args[0], UINT16_MAX), streams = sockets_number(args[2], FILES);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	received = sockets_counter(args[3]);
	for (long i = 0; i < streams; i++) {
		int fd = visit(port, "GET /big", args[1], "\r\n");
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

		*received += expect(fd, "200");
		sockets_nonblocking(fd);
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
	}
	while (!modes_stop) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(epoll, ev, EVENTS, 100);

		for (int i = 0; i < n; i++) {
			ssize_t r = read(ev[i].data.fd, buf, BUF);

			if (r == 0 || (r < 0 && errno != EAGAIN))
				errx(1, "a stream ended early");
			*received += r > 0 ? (size_t)r : 0;
		}
	}
}

static void
run_up(char **args)
{
	long port = sockets_number(args[0], UINT16_MAX), streams = sockets_number(args[2], FILES);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	received = sockets_counter(args[3]);	/* what arrives is the sink's to count */
	for (long i = 0; i < streams; i++) {
		int fd = visit(port, "POST /", args[1], ENDLESS);
		struct epoll_event ev = { .events = EPOLLOUT, .data.fd = fd };

		sockets_nonblocking(fd);
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
	}
	while (!modes_stop) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(epoll, ev, EVENTS, 100);

		for (int i = 0; i < n; i++)
			if (write(ev[i].data.fd, buf, BUF) < 0 && errno != EAGAIN)
				err(1, "a stream ended early");
	}
}

static double
seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void
run_idle(char **args)
{
	long port = sockets_number(args[0], UINT16_MAX), visitors = sockets_number(args[2], FILES);
	bool upgrade = args[3];
	double begun = seconds_now();

	for (long i = 0; i < visitors && !modes_stop; i++) {
		if (upgrade)
			expect(visit(port, "GET /upgrade", args[1],
				     "Connection: Upgrade\r\nUpgrade: bench\r\n\r\n"), "101");
		else
			expect(visit(port, "GET /", args[1], "\r\n"), "200");
	}
	printf("%.6f\n", seconds_now() - begun);
	fflush(stdout);
	while (!modes_stop)
		poll(NULL, 0, 100);
}

static const struct mode modes[] = {
	{ .name = "sink", .run = run_sink, .least = 2, .most = 2 },
	{ .name = "down", .run = run_down, .least = 4, .most = 4 },
	{ .name = "up", .run = run_up, .least = 4, .most = 4 },
	{ .name = "idle", .run = run_idle, .least = 3, .most = 4 },
	{ .name = NULL },
};

int
main(int argc, char **argv)
{
	sockets_prepare();
	return modes_run(modes, argc, argv, "load.c");
}
