/*
 * A list that the configuration has a name for (a bypass, an admission, hosts): made of what stands
 * there and, over it, of the lines of its sources (core/source/sources.h), which are read again
 * while the list is in use. It is compiled whole and then replaced; a source that cannot be read,
 * or has a wrong line, leaves the last good one in force, and says so.
 */
#ifndef ADIT_CORE_LISTING_H
#define ADIT_CORE_LISTING_H

#include <stdatomic.h>

#include <adit/log.h>
#include <adit/worker.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/source/sources.h"

#define LISTING_TEXT_MAX (16u << 20)	/* bytes of each source */

struct listing;

/* What was read for a list. */
struct listing_source {
	const struct source_text	*texts;
	size_t				 n;
	const atomic_bool		*unwanted;	/* set meanwhile: the list has gone, and
							 * what blocks for long is to end */
};

/* What lists of one kind are made of. Any thread. */
struct listing_kind {
	const char	*name;		/* "bypass": for the log, and a field there */

	/*
	 * The list of conf and of what there is to read; ready for questions. NULL with e filled.
	 * Not on a worker.
	 */
	void		*(*make)(const void *conf, const struct listing_source *from,
				 struct adit_err *e);
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
	struct adit_worker		*home;		/* where a new one arrives */
	const struct listing		*before;	/* of that name and kind, or NULL: what it
							 * knows of the same places is known */
};

/*
 * Makes it of what can be read here and now (a file), and reads on as its loader says. NULL with
 * the reason at its place at. Main thread.
 */
struct listing *listing_new(const struct listing_conf *conf, const struct place *at);

/* When nobody asks any more, before home ends. Any thread; NULL is fine. */
void listing_free(struct listing *l);

/* What was made, for the callback that is running; never NULL. Any worker. */
const void *listing_now(const struct listing *l);

/* Whether each of its sources has been read at some time. Any worker. */
bool listing_is_known(const struct listing *l);

/*
 * Runs each with each line of text, without its comment and the blanks around, that has anything:
 * it may change the line. 0, or what each returned first (not 0), e with the line's number then.
 */
int listing_lines(const char *text, int (*each)(void *arg, char *line, struct adit_err *e),
		  void *arg, struct adit_err *e);

#endif
