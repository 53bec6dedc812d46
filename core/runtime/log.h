/*
 * The log's life; adit/log.h is how lines are written to it.
 *
 * A line is formatted by its writer's thread and copied into a ring of 1 MiB; a thread of the log's
 * own takes it from there to the output. When the ring is full the line is dropped and counted, and
 * "N log lines dropped" is written once there is room: no caller ever waits for the output. The
 * lines are gost's: one JSON object (or key=value text) each, without the "caller" that gost adds
 * at debug.
 */
#ifndef ADIT_CORE_LOG_H
#define ADIT_CORE_LOG_H

#include <adit/err.h>
#include <adit/log.h>

#include "core/runtime/log_file.h"
#include "core/runtime/log_line.h"

struct log_conf {
	enum adit_log_level	 level;		/* the least that is written; NONE: nothing */
	enum log_format		 format;
	const char		*output;	/* as log_file_open; copied */
	struct log_rotation	 rotation;
};

/* What a daemon has before it has read its configuration: info, JSON, stderr. */
#define LOG_CONF_DEFAULT { .level = ADIT_LOG_INFO, .format = LOG_JSON }

/*
 * Starts a log. NULL with e filled. An output that cannot be opened is no reason to fail: it is
 * stderr then, and the first line says so.
 */
struct adit_log *log_open(const struct log_conf *conf, struct adit_err *e);

/*
 * Writes what is left, within a second, and frees. No other thread may use it any more. NULL is
 * fine.
 */
void log_free(struct adit_log *log);

/* New settings whose output is open already: to take them cannot fail. */
struct log_change {
	enum adit_log_level	 level;
	enum log_format		 format;
	struct log_file		*file;		/* owned; NULL: taken, or not prepared */
};

/* Prepares a change of all settings, for a reload. 0, or a failure with e filled. Any thread. */
int log_prepare(struct log_change *c, const struct log_conf *conf, struct adit_err *e);

/* Gives log, which runs, the settings prepared. Any thread. */
void log_apply(struct adit_log *log, struct log_change *c);

/* Drops a change, if it was not taken. */
void log_change_fini(struct log_change *c);

/*
 * Waits until all lines of before have left, at most ms. 0 or -ETIMEDOUT. Any thread. Fatal lines
 * do it.
 */
int log_flush(struct adit_log *log, unsigned ms);

/*
 * Opens the file by its name again, for logrotate; the writer does it, before the next line. Any
 * thread.
 */
void log_reopen(struct adit_log *log);

/* gost's words; unknown ones are info, and JSON. NULL is unknown. */
enum adit_log_level log_level_from(const char *word);
enum log_format log_format_from(const char *word);

#endif
