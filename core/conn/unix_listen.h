/*
 * A listening Unix socket, and the file that stands for it. Blocking calls on the file system: main
 * thread.
 */
#ifndef ADIT_CORE_UNIX_LISTEN_H
#define ADIT_CORE_UNIX_LISTEN_H

#include <sys/types.h>

#include <adit/err.h>

/* Which file it is, so that nobody else's is removed. */
struct unix_file {
	dev_t	dev;
	ino_t	ino;
};

/*
 * A non-blocking socket that listens at path, or a failure with e filled. What a process that has
 * ended left there is replaced: a socket that refuses connections. One that takes them, or another
 * kind of file, is -EADDRINUSE and stays. mode: of the file; 0: as the umask has it. Until it is
 * set, nobody but the own user gets in.
 */
int unix_listen(const char *path, mode_t mode, int backlog, struct unix_file *file,
		struct adit_err *e);

/* Whether the file at path is still that one: 0, or a failure with e filled. */
int unix_check(const char *path, const struct unix_file *file, struct adit_err *e);

/* Sets the file's mode, if it is still that one. 0, or a failure with e filled. */
int unix_set_mode(const char *path, const struct unix_file *file, mode_t mode, struct adit_err *e);

/* Removes the file, if it is still that one. */
void unix_remove(const char *path, const struct unix_file *file);

#endif
