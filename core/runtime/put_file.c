#include "core/runtime/put_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
write_piece(int fd, const struct iovec *piece)
{
	for (size_t done = 0; done < piece->iov_len;) {
		ssize_t n = write(fd, (const char *)piece->iov_base + done, piece->iov_len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Closes fd. */
static int
fill(int fd, const struct iovec *pieces, size_t n)
{
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = write_piece(fd, &pieces[i]);
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	return err;
}

int
put_file(const char *path, const struct iovec *pieces, size_t n, bool replace)
{
	char *beside;
	int fd, err;

	/* Not named after the process: in containers all have the same number. */
	if (asprintf(&beside, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(beside, O_CLOEXEC);
	err = fd < 0 ? -errno : fill(fd, pieces, n);
	if (!err && (replace ? rename(beside, path) : link(beside, path)) < 0)
		err = -errno;
	if (fd >= 0 && (err || !replace))
		unlink(beside);
	free(beside);
	return err;
}
