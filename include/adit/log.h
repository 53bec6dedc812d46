/*
 * The log: one line is one event, as text or as a JSON object. Lines are handed to a writer thread
 * through a bounded queue; when the output is slower than the log, lines are dropped and their
 * number is reported, so that a full pipe never stops a worker.
 */
#ifndef ADIT_LOG_H
#define ADIT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum adit_log_level {
	ADIT_LOG_TRACE,
	ADIT_LOG_DEBUG,		/* an event each */
	ADIT_LOG_INFO,		/* a service starts or stops, a connection has ended */
	ADIT_LOG_WARN,		/* something does not work as asked */
	ADIT_LOG_ERROR,		/* somebody has to act */
	ADIT_LOG_FATAL,		/* the process ends */
	ADIT_LOG_NONE,		/* as a log's level: nothing is written */
};

struct adit_log;

enum adit_log_type {
	ADIT_LOG_END, ADIT_LOG_STR, ADIT_LOG_INT, ADIT_LOG_UINT, ADIT_LOG_BOOL,
	ADIT_LOG_DURATION,	/* u: nanoseconds. JSON: the integer; text: "1.14ms" */
};

/* A field of a line. A string of NULL leaves the field out. Keys are literals. */
struct adit_log_field {
	const char		*key;
	enum adit_log_type	 type;
	union { const char *s; int64_t i; uint64_t u; bool b; };
};

#define ADIT_STR(k, v)		{ .key = (k), .type = ADIT_LOG_STR, .s = (v) }
#define ADIT_INT(k, v)		{ .key = (k), .type = ADIT_LOG_INT, .i = (v) }
#define ADIT_UINT(k, v)		{ .key = (k), .type = ADIT_LOG_UINT, .u = (v) }
#define ADIT_BOOL(k, v)		{ .key = (k), .type = ADIT_LOG_BOOL, .b = (v) }
#define ADIT_DURATION(k, v)	{ .key = (k), .type = ADIT_LOG_DURATION, .u = (v) }

/*
 * The fields of one line, ended: adit_log(log, level, ADIT_FIELDS(ADIT_STR("service", s)), "up");
 */
#define ADIT_FIELDS(...) ((const struct adit_log_field[]){ __VA_ARGS__, { .type = ADIT_LOG_END } })

/*
 * Writes a line if level is enabled. fields may be NULL. log may be NULL: nothing is written. Any
 * thread. Text from peers is safe to pass: control bytes and quotes are escaped. Never pass a
 * secret.
 */
void adit_log(struct adit_log *log, enum adit_log_level level, const struct adit_log_field *fields,
	      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Whether a line of that level would be written: to skip work that only a line needs. */
bool adit_log_enabled(const struct adit_log *log, enum adit_log_level level);

#ifdef __cplusplus
}
#endif
#endif
