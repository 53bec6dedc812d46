/*
 * One forwarding hop over TCP. Two in a row (visitor, hop, hop, backend) do the least that a tunnel
 * of two processes can do; what a tunnel needs is judged against them. One thread, one epoll set,
 * as plain as it can be; each kind says how bytes get from one side to the other.
 */
#ifndef ADIT_BENCH_HOP_H
#define ADIT_BENCH_HOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNK = 64 * 1024 };	/* most bytes read at a time; adit's pump reads as many */

struct pair;

struct side {
	struct pair	*pair;
	int		 fd;
	uint32_t	 watched;	/* epoll events */
	bool		 held;		/* bytes from here wait for the other side to take them */
	bool		 ended;		/* the end was read here, and passed on */
};

struct hop_kind {
	const char	*name;
	size_t		 size;		/* of its pair, zeroed */
	unsigned	 n_files;	/* arguments after the ports */

	/* Optional: once at the start. */
	void	(*prepare)(char **files);
	/* Both sockets are connected and block. 0, or -1: the pair is dead, close follows. */
	int	(*open)(struct pair *p);
	/* Moves bytes from sides[from] to the other, sets held and ended. 0, or -1: it is dead. */
	int	(*move)(struct pair *p, int from);
	/* Frees what open made, all but the sockets. */
	void	(*close)(struct pair *p);
};

struct pair {				/* first member of every kind's pair */
	struct side	 sides[2];	/* [0] accepted, [1] connected */
	struct pair	*next_dead;
	bool		 dead;
};

extern const struct hop_kind hop_rw, hop_splice, hop_tls_out, hop_tls_in;

#endif
