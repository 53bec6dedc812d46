/*
 * Where a recorder's records go, and how they stand in its queue. All of it is the recorder's
 * thread's, but for making and freeing.
 */
#ifndef ADIT_CORE_RECORD_SINK_H
#define ADIT_CORE_RECORD_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>
#include <adit/log.h>

#include "core/config/model.h"
#include "core/config/place.h"

/* Records, one after the other; room for RECORDER_QUEUE bytes of them. */
struct record_batch {
	char	*buf;		/* owned */
	size_t	 len;
};

/* Adds a record of len bytes with tail behind it. False: there is no room for it. */
bool record_batch_add(struct record_batch *b, const char *record, size_t len, const char *tail);

/* The record at *at, terminated, with its length; *at becomes the next one's. NULL: no more. */
const char *record_batch_next(const struct record_batch *b, size_t *at, size_t *len);

size_t record_batch_count(const struct record_batch *b, size_t at);	/* from at on */

struct record_sink;

struct record_sink_ops {
	/*
	 * Sends all records of b on their way, and waits for that within bounds, at most until
	 * the sink's stop is readable. How many were lost, and why the first of them in e.
	 */
	uint64_t	(*write)(struct record_sink *s, const struct record_batch *b,
				 struct adit_err *e);
	void		(*free)(struct record_sink *s);		/* after the thread has ended */
};

struct record_sink {
	const struct record_sink_ops	*ops;
	const char			*tail;	/* to stand behind each record; borrowed */
	int				 stop;	/* an eventfd of the recorder's */
};

/* A file. conf is borrowed. NULL: out of memory. */
struct record_sink *record_file_new(const struct record_file_conf *conf, int stop);

/* What conf has of tcp, http and redis; conf is borrowed. NULL with the reason said at at. */
struct record_sink *record_remote_new(const struct recorder_conf *conf, int stop,
				      struct adit_log *log, const struct place *at);

#endif
