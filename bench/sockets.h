/*
 * What the programs of the benchmark share: sockets of 127.0.0.1. They are tools: what fails
 * ends the program with a message.
 */
#ifndef ADIT_BENCH_SOCKETS_H
#define ADIT_BENCH_SOCKETS_H

#include <stdint.h>

/* A port or a count from the command line. */
long sockets_number(const char *text, long most);

/* Listens; the socket does not block. */
int sockets_listen(long port);

/* The next connection, which blocks, or -1: none now. */
int sockets_accept(int listener);

/* Connects, waiting for it. Returns a socket that blocks, or -1: nobody listens. */
int sockets_connect(long port);

/* A UDP socket that blocks, of that port or, with 0, of one that the kernel picks, connected to
 * another, where to is not 0. Its queue is as long as we may have it. */
int sockets_datagrams(long port, long to);

/* The number in a file, which is made where it is missing, mapped. */
volatile uint64_t *sockets_counter(const char *path);

void sockets_nonblocking(int fd);

/* Adds fd to an epoll set; what comes back as data is of the caller's choice. */
void sockets_watch(int epoll, int fd, uint32_t events, void *data);

/* No SIGPIPE, and as many descriptors as we may have. */
void sockets_prepare(void);

#endif
