/*
 * Answers of our own to a request: a status, and a line of text that says what it means.
 */
#ifndef ADIT_CORE_HTTP_RESPOND_H
#define ADIT_CORE_HTTP_RESPOND_H

#include <adit/exchange.h>

/* The reason phrase of a status (RFC 9110, 15), or "Unknown". */
const char *http_status_text(int status);

/*
 * Answers x, a server's exchange of which no final head was sent, and closes it: owned from now on. retry_after: seconds, 0
 * for no such field.
 */
void http_refuse(struct adit_exchange *x, int status, unsigned retry_after);

#endif
