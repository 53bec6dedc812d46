/*
 * One line of the log from its parts: no I/O, no lock, time passed in. What does not fit is cut (a
 * string) or left out (a field); what comes out is always whole JSON, or text, and ends with a
 * newline.
 */
#ifndef ADIT_CORE_LOG_LINE_H
#define ADIT_CORE_LOG_LINE_H

#include <stddef.h>
#include <time.h>

#include <adit/log.h>

#define LOG_LINE_MAX 8192

enum log_format { LOG_JSON, LOG_TEXT };

struct log_event {
	enum adit_log_level		 level;
	struct timespec			 when;	/* of CLOCK_REALTIME; printed in local time */
	const char			*msg;
	const struct adit_log_field	*fields;/* may be NULL; of equal keys the last counts */
};

struct log_line {
	size_t	len;
	char	text[LOG_LINE_MAX];	/* not terminated */
};

/* Writes ev as one line with its newline, cut where it would not fit. Any thread. */
void log_line_format(struct log_line *l, enum log_format format, const struct log_event *ev);

/* "trace" .. "fatal", "none". */
const char *log_level_name(enum adit_log_level level);

#endif
