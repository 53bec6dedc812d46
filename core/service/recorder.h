/*
 * A named object of `recorders`: a file to which records are appended, or a server that gets them.
 * A record is copied into a bounded queue; a thread of the recorder's own takes it from there to
 * where it goes (record_sink.h). What finds the queue full, or cannot be written, is dropped and
 * counted, and the log says how many: no caller ever waits.
 */
#ifndef ADIT_CORE_RECORDER_H
#define ADIT_CORE_RECORDER_H

#include <stddef.h>

#include "core/policy/policy.h"

#define RECORDER_QUEUE (1u << 20)	/* bytes that wait */
#define RECORD_MAX 65536		/* of one record */

struct recorder;

/*
 * That of that place in the list of world's configuration, which is referenced. Nothing is opened
 * before the first record: a check writes nothing. NULL with the reason in errs. Main thread; reads
 * certificates.
 */
struct recorder *recorder_new(const struct policy_world *world, size_t index,
			      struct config_errors *errs);

/* Writes what is left, within a second. Nobody uses it any more. NULL is fine. */
void recorder_free(void *recorder);

/* Queues a record of len bytes, at most RECORD_MAX. Any thread. */
void recorder_put(struct recorder *r, const char *record, size_t len);

#endif
