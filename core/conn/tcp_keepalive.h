/*
 * TCP keepalive as people configure it: the option rows that listeners and dialers over TCP share,
 * and how they reach a socket. Without a word from anybody every socket has it on (tcp_tune).
 */
#ifndef ADIT_CORE_TCP_KEEPALIVE_H
#define ADIT_CORE_TCP_KEEPALIVE_H

#include <stdbool.h>
#include <stdint.h>

#include <adit/opt.h>
#include <adit/worker.h>

#define TCP_KEEPALIVE_IDLE 15	/* s */
#define TCP_KEEPALIVE_COUNT 9

struct tcp_keepalive {
	bool		on;
	uint64_t	idle, interval;	/* ns, in whole seconds; 0: the default */
	int64_t		count;		/* 0: the default */
};

/* The rows for a struct tcp_keepalive that is the member field of instance (a type). The limits are
 * the kernel's. */
#define TCP_KEEPALIVE_ROWS(instance, field) \
	{ .name = "keepalive", .type = ADIT_OPT_BOOL, .def = "true", \
	  .offset = offsetof(instance, field.on), .help = "TCP keepalive" }, \
	{ .name = "keepalive.idle", .type = ADIT_OPT_DURATION, .def = "15s", \
	  .max = (int64_t)ADIT_SECONDS(32767), .offset = offsetof(instance, field.idle), \
	  .help = "silence before the first probe of TCP keepalive" }, \
	{ .name = "keepalive.interval", .type = ADIT_OPT_DURATION, .def = "15s", \
	  .max = (int64_t)ADIT_SECONDS(32767), .offset = offsetof(instance, field.interval), \
	  .help = "time between probes" }, \
	{ .name = "keepalive.count", .type = ADIT_OPT_INT, .def = "9", .max = 127, \
	  .offset = offsetof(instance, field.count), \
	  .help = "unanswered probes that end a connection" }

/* Sets it on a connected socket, or on a listening one: what is accepted there inherits it. */
void tcp_keepalive_set(int fd, const struct tcp_keepalive *k);

#endif
