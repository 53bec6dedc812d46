/*
 * Where a log goes: a standard stream, nowhere, or a file that is appended to and, if so
 * configured, set aside when it has grown to its limit. Used by one thread, the log's writer.
 */
#ifndef ADIT_CORE_LOG_FILE_H
#define ADIT_CORE_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>

struct log_rotation {
	uint64_t	max_size;	/* bytes, then a file is set aside; 0: never */
	unsigned	max_backups;	/* how many of those are kept; 0: all */
	unsigned	max_age_days;	/* older ones are removed; 0: none is */
	bool		secret;		/* for its owner's eyes, also without max_size */
};

struct log_file;

/*
 * output: "stderr" (NULL and "" too), "stdout", "none" or "null", else a path whose folders are
 * made. Mode 0644, or 0600 with a max_size or if secret. A set-aside file is called NAME-TIME.EXT,
 * TIME in UTC with milliseconds. NULL with e filled.
 */
struct log_file *log_file_open(const char *output, const struct log_rotation *rotation,
			       struct adit_err *e);
void log_file_free(struct log_file *f);

/*
 * Writes whole lines, waiting as long as it takes or until the descriptor stop is readable
 * (-ECANCELED); *done tells how much was written. Returns 0 or -errno.
 */
int log_file_write(struct log_file *f, int stop, const char *buf, size_t len, size_t *done);

/* Opens the path anew, after somebody has moved the file away. On failure the old one goes on. */
int log_file_reopen(struct log_file *f);

#endif
