/*
 * A list that is kept elsewhere, in up to three places (gost's loaders): a file, a Redis, behind a
 * URL. Each is read again now and then, without a worker waiting for it; what they say together,
 * the file first and the URL last, is made into the list on a helper thread and arrives on one
 * worker, its home.
 *
 * What cannot be read, is too long or makes no list changes nothing: what was read from there
 * before stays. The log has one line when that begins and one when it is over. Texts may hold
 * passwords: they are wiped when they go, and credentials in a URL are never told.
 */
#ifndef ADIT_CORE_SOURCES_H
#define ADIT_CORE_SOURCES_H

#include <stddef.h>

#include <adit/log.h>
#include <adit/worker.h>

#include "core/config/model.h"

struct sources;

#define SOURCES_MAX 3			/* of one list */

/* What one of them says, as lines. */
struct source_text {
	const char	*from;		/* its name: a path, a URL without credentials */
	const char	*text;		/* terminated, and no other NUL byte in it */
	size_t		 len;
};

struct sources_conf {
	const struct loader_conf *loader;	/* where; copied */
	const char		*kind;		/* of the list, for the log: "ingress"; static */
	const char		*name;		/* its own; copied */
	const char		*stays;		/* for the log, where one is broken: "the rules
						 * stay as they are"; static */
	const char		*without;	/* the same where it was not read yet; NULL: a line
						 * that says that */
	struct adit_log		*log;
	size_t			 max;		/* bytes of each text */
	const char		*redis_type;	/* of a key where none is written: "hash"; static */

	/*
	 * The list that the n texts make, the later ones over the earlier; NULL with e filled where
	 * one is wrong. n 0: none of them was read yet, or there is none. On a helper thread, or
	 * where sources_read is called.
	 */
	void			*(*make)(void *arg, const struct source_text *texts, size_t n,
					 struct adit_err *e);
	/*
	 * On home: what make made when something had changed, the callee's. from: what was read;
	 * complete: all of them have been. False: it could not be taken and was dropped; it comes
	 * again.
	 */
	bool			 (*take)(void *arg, void *made, const char *from, bool complete);
	/*
	 * On home: the file cannot be read any more or is wrong, and what it said is forgotten, for
	 * a list that must not outlive its file. NULL: it stays, as with the others.
	 */
	void			 (*lost)(void *arg);
	/* Of what make made and nobody took. */
	void			 (*drop)(void *made);
	/* The last call, within or some time after sources_free. */
	void			 (*gone)(void *arg);
	void			*arg;
};

/*
 * The sources of conf->loader, which may have none. NULL with e filled, and gone is not called: an
 * address that is none, a certificate that cannot be read, no memory. Main thread; blocks on files.
 */
struct sources *sources_new(struct adit_worker *home, const struct sources_conf *conf,
			    struct adit_err *e);

/*
 * Before sources_read: what from had read of the same places counts as read here too, until they
 * are read anew; so a list that is configured again does not begin without. from may be NULL, or
 * have other places. Main thread.
 */
void sources_inherit(struct sources *s, struct sources *from);

/*
 * The first list: of the file, which is read here and now, and of what was inherited. NULL with e:
 * a file that cannot be read or is wrong. Before sources_start; blocks. Main thread.
 */
void *sources_read(struct sources *s, struct adit_err *e);

/*
 * Reads from now on: what is behind an address at once, and again until that succeeded; all of them
 * each loader->reload (at least 1 s; 0: no more). Any thread; once.
 */
void sources_start(struct sources *s);

/* Whether each of them has been read. Any thread. */
bool sources_are_known(const struct sources *s);

/* Reads no more. Any thread, while home lives; NULL is fine. */
void sources_free(struct sources *s);

#endif
