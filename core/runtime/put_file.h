/*
 * Files that are there whole or not at all, whatever happens: written beside their place, with
 * nobody's eyes on them but the owner's (mode 0600), then moved there.
 */
#ifndef ADIT_CORE_PUT_FILE_H
#define ADIT_CORE_PUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/*
 * Puts the n pieces, one behind the other, at path, and on the disk. replace: also over a file that
 * is there, else that is -EEXIST: of two who put one at the same time one wins. 0 or -errno. A
 * process that dies in here leaves its temporary file. Waits for the disk; any thread.
 */
int put_file(const char *path, const struct iovec *pieces, size_t n, bool replace);

#endif
