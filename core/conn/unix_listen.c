#include "core/conn/unix_listen.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int
unix_address(const char *path, struct sockaddr_un *un, struct adit_err *e)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path)
		return adit_err_set(e, -EINVAL, "a Unix socket needs a path");
	if (strlen(path) >= sizeof(un->sun_path))
		return adit_err_set(e, -ENAMETOOLONG, "socket path longer than %zu bytes: %s",
				    sizeof(un->sun_path) - 1, path);
	strcpy(un->sun_path, path);
	return 0;
}

/* Whether the socket there belongs to nobody any more. */
static bool
is_stale(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool refused;

	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int
make_way(const struct sockaddr_un *un, struct adit_err *e)
{
	struct stat st;

	if (lstat(un->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return adit_err_set(e, -EADDRINUSE, "%s is there, and no socket", un->sun_path);
	if (!is_stale(un))
		return adit_err_set(e, -EADDRINUSE, "%s: somebody listens there", un->sun_path);
	if (unlink(un->sun_path) < 0 && errno != ENOENT)
		return adit_err_set(e, -errno, "%s, which is stale, cannot be removed: %s",
				    un->sun_path, adit_strerror(-errno));
	return 0;
}

static bool
is_file(const char *path, const struct unix_file *file)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino;
}

/* The mode that a socket has before bind() is what the file gets, less the umask. */
static int
bind_private(int fd, const struct sockaddr_un *un)
{
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 ||
	    bind(fd, (const struct sockaddr *)un, sizeof(*un)) < 0)
		return -errno;
	return 0;
}

static mode_t
default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0777 & ~mask;
}

int
unix_check(const char *path, const struct unix_file *file, struct adit_err *e)
{
	return is_file(path, file) ? 0 : adit_err_set(e, -ENOENT, "%s was replaced", path);
}

int
unix_set_mode(const char *path, const struct unix_file *file, mode_t mode, struct adit_err *e)
{
	int err = unix_check(path, file, e);

	if (err)
		return err;
	if (chmod(path, mode ? mode : default_mode()) < 0)
		return adit_err_set(e, -errno, "%s: %s", path, adit_strerror(-errno));
	return 0;
}

static int
listen_at(int fd, const struct sockaddr_un *un, mode_t mode, int backlog, struct unix_file *file,
	  struct adit_err *e)
{
	int err = bind_private(fd, un);
	struct stat st;

	if (err)
		return adit_err_set(e, err, "%s: %s", un->sun_path, adit_strerror(err));
	if (lstat(un->sun_path, &st) < 0) {
		err = -errno;
		unlink(un->sun_path);
		return adit_err_set(e, err, "%s: %s", un->sun_path, adit_strerror(err));
	}
	*file = (struct unix_file){ .dev = st.st_dev, .ino = st.st_ino };
	if (listen(fd, backlog) < 0)
		err = adit_err_set(e, -errno, "%s: %s", un->sun_path, adit_strerror(-errno));
	else
		err = unix_set_mode(un->sun_path, file, mode, e);
	if (err)
		unix_remove(un->sun_path, file);
	return err;
}

int
unix_listen(const char *path, mode_t mode, int backlog, struct unix_file *file,
	    struct adit_err *e)
{
	struct sockaddr_un un;
	int fd, err = unix_address(path, &un, e);

	if (!err)
		err = make_way(&un, e);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return adit_err_set(e, -errno, "%s: %s", path, adit_strerror(-errno));
	err = listen_at(fd, &un, mode, backlog, file, e);
	if (!err)
		return fd;
	close(fd);
	return err;
}

void
unix_remove(const char *path, const struct unix_file *file)
{
	if (is_file(path, file))
		unlink(path);
}
