/*
 * Field sections as HTTP/2 and HTTP/3 have them: control data as pseudo-fields in front, names in
 * lower case, nothing that concerns one connection (RFC 9113, 8.2 and 8.3; RFC 9114, 4.2 and 4.3;
 * RFC 8441, RFC 9220). Taken: decoded fields in, a checked struct adit_fields out. Given: a struct
 * adit_fields in, what an encoder writes out. Neither coding nor I/O.
 */
#ifndef ADIT_CORE_HTTP_SECTION_H
#define ADIT_CORE_HTTP_SECTION_H

#include <adit/exchange.h>

enum section_kind { SECTION_REQUEST, SECTION_RESPONSE, SECTION_TRAILERS };

#define SECTION_NO_LENGTH UINT64_MAX	/* no Content-Length */

/* ---- taken ----------------------------------------------------------------------------- */

/* What is to be taken. */
struct section_rules {
	enum section_kind kind;
	int		 version;	/* as adit_fields_version: 20, 30 */
	size_t		 limit;		/* of names and values, and 32 for each field (RFC 9113,
					 * 6.5.2; RFC 9114, 4.2.2) */
	bool		 extended;	/* :protocol may be asked for (RFC 8441, 4) */
};

/* One section being taken. */
struct section {
	struct section_rules	 rules;
	struct adit_fields	*fields;	/* owned */
	size_t			 size;		/* as the limit counts */
	unsigned		 pseudo;	/* bits of those seen */
	bool			 regular;	/* a field that is no pseudo-field was seen */
	struct adit_text	 host;		/* fields'; s NULL: none */
	uint64_t		 length;	/* Content-Length, or SECTION_NO_LENGTH */
	int			 err;		/* the first; it stays */
	const char		*why;		/* of -EBADMSG: a literal */
};

/* Begins one. section_done or section_drop ends it, whatever happens between. */
void section_begin(struct section *s, const struct section_rules *rules);

/*
 * The next field, copied. 0, or the first failure again: -EBADMSG (malformed; s->why says how),
 * -E2BIG (beyond the limit, or more than 256 fields), -ENOMEM. After one what is left may still be
 * added, for the sake of a decoder's state, and costs nothing.
 */
int section_add(struct section *s, struct adit_text name, struct adit_text value);

/* It fails with err, for a reason of the decoder's own. The first failure stays. */
void section_fail(struct section *s, int err);

/*
 * The end of the section: 0 and *out is the caller's, else as section_add and *out is NULL. Host is
 * no field then but ADIT_AUTHORITY, several cookies are one, and a Content-Length that says
 * nothing (204, CONNECT, trailers) is gone. s->length is what the body has to add up to.
 */
int section_done(struct section *s, struct adit_fields **out);

/* Forgets one. Nothing happens if it is done. */
void section_drop(struct section *s);

/* ---- given ----------------------------------------------------------------------------- */

struct section_field {
	struct adit_text name, value;
	bool		 secret;	/* never to be indexed (RFC 7541, 7.1.3; RFC 9204, 7.1.3) */
};

#define SECTION_LIST_MAX (256 + 5)	/* fields, and pseudo-fields */

/* A head or trailers, ready for an encoder. */
struct section_list {
	struct section_field	*v;		/* owned; the texts are f's, or in its memory */
	size_t			 n;
	uint64_t		 length;	/* Content-Length, or SECTION_NO_LENGTH */
	char			 digits[3];	/* of :status; hence a list is not copied */
};

/*
 * Takes f apart, which must outlive the list: pseudo-fields first, then the fields in order, names
 * in lower case. What may not be sent is left out: fields of one connection (RFC 9113, 8.2.2), Host
 * (it is :authority), Content-Length where it says nothing. 0, -EINVAL (f is no such section) or
 * -ENOMEM; then there is nothing to free.
 */
int section_list(struct section_list *list, const struct adit_fields *f, enum section_kind kind);
void section_list_free(struct section_list *list);

/* ---- content --------------------------------------------------------------------------- */

/* What a response answers, as far as its content depends on it. */
enum section_asked { SECTION_ASKED_PLAIN, SECTION_ASKED_HEAD, SECTION_ASKED_CONNECT };

/* What follows the head of a response. */
enum section_content {
	SECTION_BODY,
	SECTION_NOTHING,	/* interim, HEAD, 204, 304 (RFC 9110, 6.4.1) */
	SECTION_TUNNEL,		/* a 2xx to CONNECT */
};

enum section_asked section_asked(const struct adit_fields *request);
enum section_content section_content(int status, enum section_asked asked);

#endif
