/*
 * One HTTP request and its whole answer, without waiting: how lists and answers of plugins are
 * read. HTTP/1.1, over TLS for https; each on a connection of its own.
 */
#ifndef ADIT_CORE_FETCH_H
#define ADIT_CORE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/opt.h>
#include <adit/worker.h>

struct fetch;
struct tls_source;

#define FETCH_URL_MAX 2048
#define FETCH_REDIRECTS_MAX 5

struct fetch_conf {
	const char		*url;		/* http or https; "user:password@" is Basic */
	const char		*method;	/* NULL: GET */
	const char		*token;		/* for Authorization: Bearer; NULL: none */
	const char		*authorization;	/* all of that field, whatever else would be it; the
						 * answer must be that server's. NULL: none */
	const char		*body;		/* JSON; NULL: none */
	const struct adit_pairs	*fields;	/* more of them, over ours; NULL: none. They live as
						 * long as the fetch */
	const char		*authority;	/* as Host; NULL: the URL's. Lives as those */
	bool			 head_only;	/* a status of 2xx is all, and goes nowhere else */
	int			 status;	/* head_only: this one is, instead; 0: see there */
	struct tls_source	*tls;		/* for https; lives as long as the fetch */
	size_t			 max;		/* bytes of an answer; a longer one is a failure */
	uint64_t		 limit;		/* ns, for all of it */
};

/*
 * text: the answer's body (head_only: none of it), terminated, which may be changed and is wiped
 * after the call; NULL: e says why there is none: -ENOENT for status 404. Only 200 counts. A GET
 * that is sent elsewhere goes there, by the same scheme alone, and without credentials where that
 * is another server.
 */
typedef void fetch_done(void *arg, char *text, size_t len, const struct adit_err *e);

/* Whether url is one: scheme, host, port. 0, or -EINVAL with e filled, which does not repeat it. */
int fetch_check_url(const char *url, bool *https, struct adit_err *e);

/* Whether that can be one of conf's fields: it is one, and not of those that make the message. */
bool fetch_check_field(const char *name, const char *value);

/*
 * url as logs may have it (malloc): without its query, which may be a secret, and its credentials
 * as asterisks. NULL: out of memory.
 */
char *fetch_url_for_log(const char *url);

/*
 * Begins it; conf and its texts are copied. done is called once, by the loop, unless it is
 * cancelled before. NULL with e filled: nothing was begun. On w, as all below.
 */
struct fetch *fetch_begin(struct adit_worker *w, const struct fetch_conf *conf, fetch_done *done,
			  void *arg, struct adit_err *e);

/* Ends it; done is not called any more. Before done; NULL is fine. */
void fetch_cancel(struct fetch *f);

#endif
