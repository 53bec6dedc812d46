/*
 * Both ends of what is measured over UDP, and the hop that a tunnel is judged against. One thread
 * each, on ports of 127.0.0.1.
 *
 *   datagrams sink PORT STAT
 *	counts datagrams; one of four bytes, which asks whether the way is open, is sent back
 *   datagrams send PORT SIZE RATE STAT
 *	sends datagrams of SIZE bytes, RATE a second or, with 0, as fast as it can, and counts them
 *   datagrams hop PORT TO
 *	recvmsg and sendmsg, a datagram each, both ways, for whoever sent last
 *
 * They run until SIGTERM. STAT is as in load.c, of datagrams.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bench/modes.h"
#include "bench/sockets.h"

enum { SIZE_MAX_SENT = 65507, BATCH = 32, ASKS = 4, WAIT_MS = 100, PACE_NS = 1000000 };

/* ---- the sink ------------------------------------------------------------------------- */

/* The datagrams of this call; those that ask are answered. */
static void
sink_take(int fd, struct mmsghdr *msgs, int n)
{
	for (int i = 0; i < n; i++) {
		struct msghdr *m = &msgs[i].msg_hdr;

		if (msgs[i].msg_len == ASKS)
			sendto(fd, m->msg_iov->iov_base, ASKS, 0, m->msg_name, m->msg_namelen);
		m->msg_namelen = sizeof(struct sockaddr_storage);
	}
}

static void
run_sink(char **args)
{
	static char bufs[BATCH][2048];	/* what is longer is cut, and counted */
	static struct sockaddr_storage from[BATCH];
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iov[BATCH];
	int fd = sockets_datagrams(sockets_number(args[0], UINT16_MAX), 0);
	volatile uint64_t *received = sockets_counter(args[1]);

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ bufs[i], sizeof(bufs[i]) };
		msgs[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov[i], .msg_iovlen = 1,
			.msg_name = &from[i], .msg_namelen = sizeof(from[i]),
		};
	}
	while (!modes_stop) {
		int n = recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL);

		if (n < 0 && errno != EINTR)
			err(1, "recvmmsg");
		sink_take(fd, msgs, n);
		*received += n > 0 ? (uint64_t)n : 0;
	}
}

/* ---- the sender ----------------------------------------------------------------------- */

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* How many of rate's datagrams are due; waits for the next ones. */
static uint64_t
due(uint64_t begun, uint64_t rate, uint64_t sent)
{
	const struct timespec pace = { .tv_nsec = PACE_NS };
	uint64_t n = (now_ns() - begun) * rate / 1000000000;

	if (n > sent)
		return n - sent;
	nanosleep(&pace, NULL);
	return 0;
}

static void
run_send(char **args)
{
	static char bytes[SIZE_MAX_SENT];
	long size = sockets_number(args[1], SIZE_MAX_SENT);
	uint64_t rate = (uint64_t)sockets_number(args[2], 100000000), begun = now_ns();
	int fd = sockets_datagrams(0, sockets_number(args[0], UINT16_MAX));
	volatile uint64_t *sent = sockets_counter(args[3]);
	struct iovec iov = { bytes, (size_t)size };
	struct mmsghdr msgs[BATCH] = { 0 };

	for (int i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	while (!modes_stop) {
		uint64_t want = rate ? due(begun, rate, *sent) : BATCH;
		int n = want ? sendmmsg(fd, msgs, want < BATCH ? (unsigned)want : BATCH, 0) : 0;

		if (n < 0 && errno != EINTR && errno != ECONNREFUSED && errno != ENOBUFS)
			err(1, "sendmmsg");
		*sent += n > 0 ? (uint64_t)n : 0;
	}
}

/* ---- the hop -------------------------------------------------------------------------- */

/* One datagram from a socket to the other; from or to NULL: it is connected. False: none now. */
static bool
hop_move(int in, struct sockaddr_in *from, int out, struct sockaddr_in *to)
{
	static char bytes[SIZE_MAX_SENT];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_name = from,
		.msg_namelen = from ? sizeof(*from) : 0,
	};
	ssize_t n = recvmsg(in, &m, MSG_DONTWAIT);

	if (n < 0)
		return errno == ECONNREFUSED;
	iov.iov_len = (size_t)n;
	m = (struct msghdr){
		.msg_iov = &iov, .msg_iovlen = 1, .msg_name = to,
		.msg_namelen = to ? sizeof(*to) : 0,
	};
	sendmsg(out, &m, MSG_DONTWAIT);	/* what does not fit is lost, as on any hop */
	return true;
}

static void
run_hop(char **args)
{
	int front = sockets_datagrams(sockets_number(args[0], UINT16_MAX), 0);
	int back = sockets_datagrams(0, sockets_number(args[1], UINT16_MAX));
	struct sockaddr_in visitor = { 0 };
	struct pollfd fds[] = {
		{ .fd = front, .events = POLLIN }, { .fd = back, .events = POLLIN },
	};

	while (!modes_stop) {
		if (poll(fds, 2, WAIT_MS) <= 0)
			continue;
		while (fds[0].revents && hop_move(front, &visitor, back, NULL) && !modes_stop)
			;
		while (fds[1].revents && hop_move(back, NULL, front, &visitor) && !modes_stop)
			;
	}
}

static const struct mode modes[] = {
	{ .name = "sink", .run = run_sink, .least = 2, .most = 2 },
	{ .name = "send", .run = run_send, .least = 4, .most = 4 },
	{ .name = "hop", .run = run_hop, .least = 2, .most = 2 },
	{ .name = NULL },
};

int
main(int argc, char **argv)
{
	return modes_run(modes, argc, argv, "datagrams.c");
}
