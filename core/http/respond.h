/*
 * Answers of our own to a request, whatever the version: a status, and a line of text that says
 * what it means.
 */
#ifndef ADIT_CORE_HTTP_RESPOND_H
#define ADIT_CORE_HTTP_RESPOND_H

#include <adit/exchange.h>

/*
 * Sends a whole final response: status, a line of text as its body, and extra's fields
 * (Retry-After, Allow, ...; may be NULL). x stays the caller's, to be closed politely (its request
 * may be dropped unread). 0; -EAGAIN: nothing was sent, again when x is writable; any other: x is
 * of no use any more.
 */
int http_respond(struct adit_exchange *x, int status, const char *text,
		 const struct adit_fields *extra);

/*
 * Sends the head of a final response, with extra's fields (may be NULL), for len bytes of that type
 * (NULL: no body): the caller writes them and shuts x down. As above.
 */
int http_respond_head(struct adit_exchange *x, int status, const char *type, size_t len,
		      const struct adit_fields *extra);

/*
 * Answers x, of which no final head was sent, with the status's own phrase for text and the field
 * that it asks for (401, 405, 408), and closes it: owned from now on. retry_after: seconds, 0 for
 * no such field.
 */
void http_refuse(struct adit_exchange *x, int status, unsigned retry_after);

/* The same with extra's fields, which may be NULL, and no others. */
void http_refuse_with(struct adit_exchange *x, int status, const struct adit_fields *extra);

/*
 * Writes the whole of the last response on a connection of HTTP/1, for bytes that are no request:
 * status, why as its text. Returns its length.
 */
#define HTTP_LAST_WORDS 512
size_t http_last_words(int status, const char *why, char out[HTTP_LAST_WORDS]);

/* The reason phrase of a status (RFC 9110, 15), or "Unknown". */
const char *http_status_text(int status);

/* Whether a request may be sent twice (RFC 9110, 9.2.2). */
bool http_is_idempotent(struct adit_text method);

/* Whether the method changes nothing (RFC 9110, 9.2.1): no harm is done by one that comes late. */
bool http_is_safe(struct adit_text method);

/* What a failure of the far side means to the visitor: 501 to 504. */
int http_status_of(int err);

#endif
