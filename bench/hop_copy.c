/* The hops without encryption: read and write through a buffer, and splice through a pipe. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/hop.h"

enum { PIPE_BYTES = 1 << 20 };

/* What one direction holds: bytes in a buffer or in a pipe. */
struct way {
	char	*buf;
	int	 pipe[2];
	size_t	 off, len;
};

struct copy_pair {
	struct pair	base;
	struct way	ways[2];
};

static struct copy_pair *
copy_of(struct pair *p)
{
	return (struct copy_pair *)p;	/* base is its first member */
}

static int
rw_open(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		copy_of(p)->ways[i].buf = malloc(CHUNK);
		if (!copy_of(p)->ways[i].buf)
			err(1, "malloc");
	}
	return 0;
}

static void
rw_close(struct pair *p)
{
	free(copy_of(p)->ways[0].buf);
	free(copy_of(p)->ways[1].buf);
}

static ssize_t
rw_read(struct way *w, int fd)
{
	return read(fd, w->buf, CHUNK);
}

static ssize_t
rw_write(struct way *w, int fd)
{
	return write(fd, w->buf + w->off, w->len);
}

static int
splice_open(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		int *fds = copy_of(p)->ways[i].pipe;

		if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
			err(1, "pipe2");
		fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	}
	return 0;
}

static void
splice_close(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		close(copy_of(p)->ways[i].pipe[0]);
		close(copy_of(p)->ways[i].pipe[1]);
	}
}

static ssize_t
splice_read(struct way *w, int fd)
{
	return splice(fd, NULL, w->pipe[1], NULL, PIPE_BYTES, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

static ssize_t
splice_write(struct way *w, int fd)
{
	return splice(w->pipe[0], NULL, fd, NULL, w->len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

struct copy_ops {
	ssize_t	(*read)(struct way *w, int fd);
	ssize_t	(*write)(struct way *w, int fd);
};

static int
way_fill(struct way *w, struct side *from, struct side *to, const struct copy_ops *ops)
{
	ssize_t n = ops->read(w, from->fd);

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0) {
		from->ended = true;
		shutdown(to->fd, SHUT_WR);
	}
	w->off = 0;
	w->len = (size_t)n;
	return 0;
}

/* One read where nothing is held, one write. */
static int
copy_move(struct pair *p, int from, const struct copy_ops *ops)
{
	struct side *in = &p->sides[from], *out = &p->sides[!from];
	struct way *w = &copy_of(p)->ways[from];
	ssize_t n;

	if (!w->len && !in->ended && way_fill(w, in, out, ops))
		return -1;
	if (w->len) {
		n = ops->write(w, out->fd);
		if (n < 0 && errno != EAGAIN)
			return -1;
		w->off += n > 0 ? (size_t)n : 0;
		w->len -= n > 0 ? (size_t)n : 0;
	}
	in->held = w->len > 0;
	return 0;
}

static int
rw_move(struct pair *p, int from)
{
	static const struct copy_ops ops = { .read = rw_read, .write = rw_write };

	return copy_move(p, from, &ops);
}

static int
splice_move(struct pair *p, int from)
{
	static const struct copy_ops ops = { .read = splice_read, .write = splice_write };

	return copy_move(p, from, &ops);
}

const struct hop_kind hop_rw = {
	.name = "rw",
	.size = sizeof(struct copy_pair),
	.open = rw_open,
	.move = rw_move,
	.close = rw_close,
};

const struct hop_kind hop_splice = {
	.name = "splice",
	.size = sizeof(struct copy_pair),
	.open = splice_open,
	.move = splice_move,
	.close = splice_close,
};
