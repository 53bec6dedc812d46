/*
 * A text file that is read again when it has changed. It is looked at on helper threads; what is
 * made of it arrives on one worker, its home. The same reading, once, serves where nothing is
 * looked at again.
 */
#ifndef ADIT_CORE_WATCHED_FILE_H
#define ADIT_CORE_WATCHED_FILE_H

#include <stddef.h>

#include <adit/err.h>
#include <adit/worker.h>

struct watched_file;

struct watched_file_conf {
	const char	*path;		/* copied */
	uint64_t	 reload;	/* ns between two looks, at least 1 s; 0: never again */
	size_t		 max;		/* bytes; a longer file is refused */

	/*
	 * What the text means, NULL with e filled where it is wrong. On a helper thread, or where
	 * watched_file_read is called. The text has no NUL byte but its end, and may be changed.
	 */
	void		*(*parse)(void *arg, char *text, struct adit_err *e);
	/* On home: what parse made of a file that has changed, the callee's. */
	void		(*take)(void *arg, void *made);
	/* On home: it cannot be read (any more); once, until it was read again and taken. */
	void		(*failed)(void *arg, const struct adit_err *e);
	/* Of what parse made and nobody took. */
	void		(*drop)(void *made);
	/* The last call, within or some time after watched_file_free. */
	void		(*gone)(void *arg);
	void		*arg;
};

/* NULL: out of memory, and gone is not called. Any thread. */
struct watched_file *watched_file_new(struct adit_worker *home,
				      const struct watched_file_conf *conf);

/*
 * Reads it here and now: what parse made, or NULL with e, whose text begins with the path. Before
 * watched_file_start; blocks.
 */
void *watched_file_read(struct watched_file *f, struct adit_err *e);

/* Looks again from now on, if there is a period. Any thread; once. */
void watched_file_start(struct watched_file *f);

/* Looks no more. Any thread, while home lives; NULL is fine. */
void watched_file_free(struct watched_file *f);

/* On home, from take, which could not: what was read counts as not read, and comes again. */
void watched_file_again(struct watched_file *f);

#endif
