/*
 * The system's hosts file, read again when it has changed. Blocks for as long as a local file of at
 * most HOSTS_MAX bytes takes to read, the first time and after a change.
 */
#ifndef ADIT_CORE_HOSTS_H
#define ADIT_CORE_HOSTS_H

#include <stddef.h>
#include <sys/stat.h>

#include <adit/addr.h>

#define HOSTS_MAX (4u << 20)	/* bytes; what a larger file has beyond them is not seen */

/* Which file, in which state. All zero: there is none. */
struct file_stamp {
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec	changed;
};

/* The state path is in now; two of the same state are equal. Any thread; the first blocks. */
struct file_stamp file_stamp_of(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

struct hosts {
	char			*path;	/* owned */
	char			*text;	/* owned; NULL: not read, or not there */
	struct file_stamp	 stamp;
};

/* Returns 0 or -ENOMEM. */
int hosts_init(struct hosts *h, const char *path);
void hosts_fini(struct hosts *h);

/* Writes the addresses of name (compared without case), at most max. Returns how many. */
size_t hosts_find(struct hosts *h, const char *name, struct adit_addr *out, size_t max);

#endif
