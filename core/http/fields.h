/*
 * Fields from the inside, for the HTTP codecs in core: text that arrives in pieces is put together
 * in the fields' own memory, so that a head is copied once. See adit/exchange.h for the contract.
 */
#ifndef ADIT_CORE_HTTP_FIELDS_H
#define ADIT_CORE_HTTP_FIELDS_H

#include <adit/exchange.h>

#define FIELDS_BYTES_MAX 65536	/* of all texts, with 4 for each field as on the wire of HTTP/1 */
#define FIELDS_MAX	 256

/*
 * Appends to the one text that is open. 0, -ENOMEM or -E2BIG. Nothing else may be done with f
 * (beyond reading it) until fields_finish.
 */
int fields_append(struct adit_fields *f, const char *s, size_t len);

/*
 * Ends the open text (empty if nothing was appended): terminated, in f's memory, not yet part of
 * it. The second one leaves out the blanks around it, which belong to no field value (RFC 9110,
 * 5.5). 0 or -ENOMEM.
 */
int fields_finish(struct adit_fields *f, struct adit_text *out);
int fields_finish_value(struct adit_fields *f, struct adit_text *out);

/* As adit_fields_add and adit_fields_set_control, of texts from fields_finish: not copied. */
int fields_push(struct adit_fields *f, struct adit_text name, struct adit_text value);
int fields_control(struct adit_fields *f, enum adit_control which, struct adit_text text);

/* As adit_fields_remove; name may be a text of f. */
unsigned fields_remove(struct adit_fields *f, struct adit_text name);

/*
 * Makes one field of all of that name, in the first one's place: their values in order, separator
 * between those that are not empty. 0, -ENOMEM or -E2BIG.
 */
int fields_join(struct adit_fields *f, const char *name, const char *separator);

/* The bytes all texts make up, for a limit or to size a buffer. */
size_t fields_bytes(const struct adit_fields *f);

/* RFC 9110, 5.6.2. False for an empty text. */
bool http_is_token(const char *s, size_t len);

/*
 * The bytes of an unsigned decimal, all of them digits; false if empty, malformed or beyond 2^63 -
 * 1.
 */
bool http_read_length(struct adit_text t, uint64_t *length);

/*
 * uri-host [ ":" port ] with a host (RFC 9110, 4.2.1: an empty one is invalid), as far as its
 * structure goes: brackets around what has colons, digits in the port. Characters are checked where
 * it becomes ADIT_AUTHORITY.
 */
bool http_is_authority(struct adit_text t, bool port_needed);

/* Whether both are the same, letters compared without case. */
bool http_text_equal(struct adit_text a, const char *b, size_t len);

/*
 * The next element of a comma list (RFC 9110, 5.6.1), without blanks around it and without empty
 * ones; *list moves behind it. False at the end. Commas in quoted strings do not separate.
 */
bool http_list_next(struct adit_text *list, struct adit_text *element);

/* The same of a list with another separator. */
bool http_parts_next(struct adit_text *list, char separator, struct adit_text *element);

#endif
