/*
 * A list that the configuration has a name for (a bypass, an admission, hosts): made of what stands
 * there and, over it, of the lines of a file that may be read again while the list is in use. It is
 * compiled whole and then replaced; one that cannot be read, or has a wrong line, leaves the last
 * good one in force, and says so.
 */
#ifndef ADIT_CORE_LISTING_H
#define ADIT_CORE_LISTING_H

#include <adit/log.h>
#include <adit/worker.h>

#include "core/config/model.h"
#include "core/config/place.h"

#define LISTING_FILE_MAX (64u << 20)	/* bytes */

struct listing;

/* What lists of one kind are made of. Any thread. */
struct listing_kind {
	const char	*name;		/* "bypass": for the log, and a field there */

	/*
	 * The list of conf and of text, whose lines it may change; ready for questions. NULL with e
	 * filled. Not on a worker.
	 */
	void		*(*make)(const void *conf, char *text, struct adit_err *e);
	void		(*free)(void *made);		/* NULL is fine */
	size_t		(*count)(const void *made);
};

/* Of whom a list is; all borrowed from config. */
struct listing_conf {
	const struct listing_kind	*kind;
	struct config			*config;	/* referenced */
	const void			*conf;		/* of it, for the kind */
	const struct loader_conf	*loader;	/* its */
	const char			*name;
	struct adit_log			*log;
	struct adit_worker		*home;		/* where a new one arrives; NULL: none will,
							 * it is only looked at */
};

/*
 * Reads it, here and now, and looks at its file again as often as its loader says. NULL with the
 * reason at its place at. Main thread.
 */
struct listing *listing_new(const struct listing_conf *conf, const struct place *at);

/* When nobody asks any more, before home ends. Any thread; NULL is fine. */
void listing_free(struct listing *l);

/* What was made, for the callback that is running; never NULL. Any worker. */
const void *listing_now(const struct listing *l);

/* The next line of *rest without its comment and blanks around; NULL: there is none. */
char *listing_line(char **rest);

#endif
