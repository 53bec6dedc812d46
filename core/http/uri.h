/*
 * Targets of requests (RFC 3986, RFC 9112, 3.2): the path as it is meant, and the query. No I/O, no
 * allocation; any thread.
 */
#ifndef ADIT_CORE_HTTP_URI_H
#define ADIT_CORE_HTTP_URI_H

#include <adit/exchange.h>

/* The part of a target before its '?', and the part behind (s NULL: there is none). */
struct adit_text uri_path(struct adit_text target);
struct adit_text uri_query(struct adit_text target);

/* Whether uri_normalise may change a path. */
bool uri_is_odd(struct adit_text path);

/*
 * Undoes %XX in text, once, to out (text.len bytes at least); what is no such escape stays. form: a
 * '+' is a blank. Returns the length; not terminated.
 */
size_t uri_decode(struct adit_text text, bool form, char *out);

/*
 * The path that is meant, to out (path.len bytes at least): decoded, then without its segments "."
 * and ".." (RFC 3986, 5.2.4), those that were encoded too. Returns the length; not terminated.
 */
size_t uri_normalise(struct adit_text path, char *out);

/*
 * Writes c as it may stand in a path to out (not terminated): itself, or %XX. Returns how many
 * bytes, 1 or 3.
 */
size_t uri_encode(char c, char out[3]);

/* The next "name=value" of a query, still encoded; *query moves behind it. False at the end. */
bool uri_query_next(struct adit_text *query, struct adit_text *name, struct adit_text *value);

#endif
