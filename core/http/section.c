#include "core/http/section.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/fields.h"

#define FIELD_OVERHEAD 32	/* RFC 9113, 6.5.2; RFC 9114, 4.2.2 */

#define T(literal) ((struct adit_text){ literal, sizeof(literal) - 1 })

enum pseudo {
	PSEUDO_METHOD = 1,
	PSEUDO_SCHEME = 2,
	PSEUDO_AUTHORITY = 4,
	PSEUDO_PATH = 8,
	PSEUDO_PROTOCOL = 16,
	PSEUDO_STATUS = 32,
};

static bool
is(struct adit_text t, struct adit_text other)
{
	return http_text_equal(t, other.s, other.len);
}

/* ---- content --------------------------------------------------------------------------- */

/* Methods are compared with case (RFC 9110, 9.1). */
static bool
method_is(const struct adit_fields *f, const char *method)
{
	struct adit_text t = adit_fields_control(f, ADIT_METHOD);

	return t.s && t.len == strlen(method) && memcmp(t.s, method, t.len) == 0;
}

enum section_asked
section_asked(const struct adit_fields *request)
{
	if (method_is(request, "HEAD"))
		return SECTION_ASKED_HEAD;
	return method_is(request, "CONNECT") ? SECTION_ASKED_CONNECT : SECTION_ASKED_PLAIN;
}

enum section_content
section_content(int status, enum section_asked asked)
{
	if (asked == SECTION_ASKED_CONNECT && status / 100 == 2)
		return SECTION_TUNNEL;
	if (status < 200 || status == 204 || status == 304 || asked == SECTION_ASKED_HEAD)
		return SECTION_NOTHING;
	return SECTION_BODY;
}

/* ---- which fields these are ------------------------------------------------------------ */

enum field_kind {
	FIELD_OTHER,
	FIELD_HOP,		/* of one connection */
	FIELD_TE,
	FIELD_HOST,
	FIELD_LENGTH,
	FIELD_COOKIE,
	FIELD_SECRET,
};

static const struct known_field {
	struct adit_text	 name;
	enum field_kind		 kind;
} known_fields[] = {
	{ { "te", 2 }, FIELD_TE },
	{ { "host", 4 }, FIELD_HOST },
	{ { "cookie", 6 }, FIELD_COOKIE },
	{ { "upgrade", 7 }, FIELD_HOP },
	{ { "connection", 10 }, FIELD_HOP },
	{ { "keep-alive", 10 }, FIELD_HOP },
	{ { "authorization", 13 }, FIELD_SECRET },
	{ { "content-length", 14 }, FIELD_LENGTH },
	{ { "proxy-connection", 16 }, FIELD_HOP },
	{ { "transfer-encoding", 17 }, FIELD_HOP },
	{ { "proxy-authorization", 19 }, FIELD_SECRET },
};

static enum field_kind
field_kind(struct adit_text name)
{
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(*known_fields); i++)
		if (is(name, known_fields[i].name))
			return known_fields[i].kind;
	return FIELD_OTHER;
}

/* ---- taken ----------------------------------------------------------------------------- */

void
section_begin(struct section *s, const struct section_rules *rules)
{
	*s = (struct section){ .rules = *rules, .length = SECTION_NO_LENGTH };
}

void
section_drop(struct section *s)
{
	adit_fields_free(s->fields);
	s->fields = NULL;
}

/* Latches it; what was taken is of no use any more. */
static int
failed(struct section *s, int err)
{
	s->err = err;
	section_drop(s);
	return err;
}

void
section_fail(struct section *s, int err)
{
	if (!s->err)
		failed(s, err);
}

static int
malformed(struct section *s, const char *why)
{
	s->why = why;
	return failed(s, -EBADMSG);
}

/* What a function of adit_fields said about a text of the peer's. */
static int
took(struct section *s, int err, const char *why)
{
	if (err == -EINVAL)
		return malformed(s, why);
	return err < 0 ? failed(s, err) : 0;
}

static int
control(struct section *s, enum adit_control which, struct adit_text value, const char *why)
{
	return took(s, adit_fields_set_control(s->fields, which, value.s, value.len), why);
}

/*
 * RFC 9110, 15: three digits, the first of which is a class; 101 has no meaning here (RFC 9113,
 * 8.6; RFC 9114, 4.5).
 */
static int
take_status(struct section *s, struct adit_text value)
{
	int status = 0;

	if (value.len != 3)
		return malformed(s, "malformed :status");
	for (size_t i = 0; i < 3; i++) {
		if (value.s[i] < '0' || value.s[i] > '9')
			return malformed(s, "malformed :status");
		status = status * 10 + (value.s[i] - '0');
	}
	if (status < 100)
		return malformed(s, "malformed :status");
	if (status == 101)
		return malformed(s, "status 101");
	adit_fields_set_status(s->fields, status);
	return 0;
}

/* RFC 9113, 8.3.1; RFC 9114, 4.3.1: with neither user information nor anything behind the port. */
static int
take_authority(struct section *s, struct adit_text value)
{
	if (!http_is_authority(value, false))
		return malformed(s, "malformed :authority");
	return control(s, ADIT_AUTHORITY, value, "malformed :authority");
}

static const struct known_pseudo {
	struct adit_text	 name;
	enum pseudo		 bit;
} known_pseudos[] = {
	{ { ":path", 5 }, PSEUDO_PATH },
	{ { ":method", 7 }, PSEUDO_METHOD },
	{ { ":scheme", 7 }, PSEUDO_SCHEME },
	{ { ":status", 7 }, PSEUDO_STATUS },
	{ { ":protocol", 9 }, PSEUDO_PROTOCOL },
	{ { ":authority", 10 }, PSEUDO_AUTHORITY },
};

/* Exactly: upper case makes it unknown. 0: it is. */
static unsigned
pseudo_find(struct adit_text name)
{
	for (size_t i = 0; i < sizeof(known_pseudos) / sizeof(*known_pseudos); i++) {
		struct adit_text known = known_pseudos[i].name;

		if (name.len == known.len && memcmp(name.s, known.s, name.len) == 0)
			return known_pseudos[i].bit;
	}
	return 0;
}

static unsigned
pseudo_allowed(const struct section_rules *rules)
{
	switch (rules->kind) {
	case SECTION_REQUEST:
		return PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_AUTHORITY | PSEUDO_PATH |
		       (rules->extended ? (unsigned)PSEUDO_PROTOCOL : 0u);
	case SECTION_RESPONSE:
		return PSEUDO_STATUS;
	case SECTION_TRAILERS:
		break;
	}
	return 0;
}

static int
take_pseudo(struct section *s, struct adit_text name, struct adit_text value)
{
	unsigned bit = pseudo_find(name);

	if (s->rules.kind == SECTION_TRAILERS)
		return malformed(s, "pseudo-field in trailers");
	if (!(bit & pseudo_allowed(&s->rules)))
		return malformed(s, bit ? "pseudo-field out of place" : "unknown pseudo-field");
	if (s->regular)
		return malformed(s, "pseudo-field behind a field");
	if (s->pseudo & bit)
		return malformed(s, "pseudo-field given twice");
	s->pseudo |= bit;
	switch ((enum pseudo)bit) {
	case PSEUDO_METHOD:
		return control(s, ADIT_METHOD, value, "malformed :method");
	case PSEUDO_SCHEME:
		return control(s, ADIT_SCHEME, value, "malformed :scheme");
	case PSEUDO_AUTHORITY:
		return take_authority(s, value);
	case PSEUDO_PATH:
		return control(s, ADIT_TARGET, value, "malformed :path");
	case PSEUDO_PROTOCOL:
		return control(s, ADIT_PROTOCOL, value, "malformed :protocol");
	case PSEUDO_STATUS:
		break;
	}
	return take_status(s, value);
}

static int
take_copy(struct section *s, struct adit_text name, struct adit_text value)
{
	return took(s, adit_fields_add(s->fields, name, value), "malformed field");
}

/* RFC 9110, 8.6: the same again is the same; anything else is two messages in one. */
static int
take_length(struct section *s, struct adit_text name, struct adit_text value)
{
	uint64_t length;

	if (!http_read_length(value, &length))
		return malformed(s, "malformed content-length");
	if (s->length == length)
		return 0;
	if (s->length != SECTION_NO_LENGTH)
		return malformed(s, "conflicting content-length");
	s->length = length;
	return take_copy(s, name, value);
}

/* Stays among the fields until it was compared with :authority, which may be changed by nobody. */
static int
take_host(struct section *s, struct adit_text name, struct adit_text value)
{
	int err;

	if (s->rules.kind == SECTION_TRAILERS)
		return 0;
	if (s->host.s)
		return malformed(s, "more than one host");
	err = take_copy(s, name, value);
	if (err == 0)
		s->host = adit_fields_get(s->fields, "host");
	return err;
}

/* RFC 9113, 8.2.1; RFC 9114, 4.2: in lower case. */
static bool
name_is_valid(struct adit_text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.s[i] >= 'A' && name.s[i] <= 'Z')
			return false;
	return http_is_token(name.s, name.len);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 9113, 8.2.1: no blanks at the ends; the rest is checked where it is copied. */
static bool
value_is_bare(struct adit_text value)
{
	return !value.len || (!is_blank(value.s[0]) && !is_blank(value.s[value.len - 1]));
}

static int
take_regular(struct section *s, struct adit_text name, struct adit_text value)
{
	s->regular = true;
	if (!name_is_valid(name))
		return malformed(s, "malformed field name");
	if (!value_is_bare(value))
		return malformed(s, "blanks around a field value");
	switch (field_kind(name)) {
	case FIELD_HOP:
		return malformed(s, "connection-specific field");
	case FIELD_TE:
		if (!is(value, T("trailers")))
			return malformed(s, "te other than trailers");
		break;
	case FIELD_LENGTH:
		return take_length(s, name, value);
	case FIELD_HOST:
		return take_host(s, name, value);
	case FIELD_COOKIE:
	case FIELD_SECRET:
	case FIELD_OTHER:
		break;
	}
	return take_copy(s, name, value);
}

static int
begin_fields(struct section *s)
{
	if (s->fields)
		return 0;
	s->fields = adit_fields_new();
	if (!s->fields)
		return failed(s, -ENOMEM);
	adit_fields_set_version(s->fields, s->rules.version);
	return 0;
}

int
section_add(struct section *s, struct adit_text name, struct adit_text value)
{
	if (s->err)
		return s->err;
	s->size += name.len + value.len + FIELD_OVERHEAD;
	if (s->size > s->rules.limit)
		return failed(s, -E2BIG);
	if (begin_fields(s) < 0)
		return s->err;
	if (name.len && name.s[0] == ':')
		return take_pseudo(s, name, value);
	return take_regular(s, name, value);
}

/* Both say the same, or one stands for both (RFC 9114, 4.3.1). */
static int
settle_host(struct section *s)
{
	struct adit_text authority = adit_fields_control(s->fields, ADIT_AUTHORITY);
	int err = 0;

	if (!s->host.s)
		return 0;
	if (authority.s && !is(s->host, authority))
		return malformed(s, "host is not :authority");
	if (!authority.s && !http_is_authority(s->host, false))
		return malformed(s, "malformed host");
	if (!authority.s)
		err = took(s, fields_control(s->fields, ADIT_AUTHORITY, s->host), "malformed host");
	if (err == 0)
		adit_fields_remove(s->fields, "host");
	return err;
}

static bool
needs_authority(struct adit_text scheme)
{
	return is(scheme, T("http")) || is(scheme, T("https"));
}

/* RFC 9113, 8.3.1; RFC 9114, 4.3.1. */
static int
settle_path(struct section *s)
{
	struct adit_text path = adit_fields_control(s->fields, ADIT_TARGET);
	bool asterisk = path.len == 1 && path.s[0] == '*';

	if (path.s[0] != '/' && !(asterisk && method_is(s->fields, "OPTIONS")))
		return malformed(s, "malformed :path");
	return 0;
}

/* RFC 9113, 8.5; RFC 9114, 4.4: to a host and a port, and nothing else. */
static int
settle_connect(struct section *s)
{
	if (s->pseudo & (PSEUDO_SCHEME | PSEUDO_PATH))
		return malformed(s, "CONNECT with :scheme or :path");
	if (!(s->pseudo & PSEUDO_AUTHORITY))
		return malformed(s, "CONNECT without :authority");
	if (!http_is_authority(adit_fields_control(s->fields, ADIT_AUTHORITY), true))
		return malformed(s, "malformed :authority of CONNECT");
	return settle_host(s);
}

/* A body of a known length would have no meaning (RFC 9110, 9.3.6). */
static void
forget_length(struct section *s)
{
	s->length = SECTION_NO_LENGTH;
	adit_fields_remove(s->fields, "content-length");
}

static int
settle_request(struct section *s)
{
	const unsigned needed = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;
	bool connect = method_is(s->fields, "CONNECT");
	int err;

	if (!(s->pseudo & PSEUDO_METHOD))
		return malformed(s, "no :method");
	if (s->pseudo & PSEUDO_PROTOCOL && !connect)
		return malformed(s, ":protocol without CONNECT");
	if (connect)
		forget_length(s);
	if (connect && !(s->pseudo & PSEUDO_PROTOCOL))
		return settle_connect(s);
	if ((s->pseudo & needed) != needed)
		return malformed(s, s->pseudo & PSEUDO_PATH ? "no :scheme" : "no :path");
	err = settle_host(s);
	if (err == 0 && needs_authority(adit_fields_control(s->fields, ADIT_SCHEME)) &&
	    !adit_fields_control(s->fields, ADIT_AUTHORITY).s)
		return malformed(s, "neither :authority nor host");
	return err < 0 ? err : settle_path(s);
}

/* RFC 9110, 8.6: 1xx and 204 have no length; that of a 204 may be the 0 it is. */
static int
settle_response(struct section *s)
{
	int status = adit_fields_status(s->fields);

	if (!(s->pseudo & PSEUDO_STATUS))
		return malformed(s, "no :status");
	if (s->length == SECTION_NO_LENGTH || (status >= 200 && status != 204))
		return 0;
	if (status != 204 || s->length)
		return malformed(s, "content-length where no content can be");
	forget_length(s);
	return 0;
}

/* RFC 9110, 6.5.1: what frames a message cannot come behind it. */
static int
settle_trailers(struct section *s)
{
	forget_length(s);
	return 0;
}

static int
settle(struct section *s)
{
	switch (s->rules.kind) {
	case SECTION_REQUEST:
		return settle_request(s);
	case SECTION_RESPONSE:
		return settle_response(s);
	case SECTION_TRAILERS:
		break;
	}
	return settle_trailers(s);
}

int
section_done(struct section *s, struct adit_fields **out)
{
	*out = NULL;
	if (!s->err)
		begin_fields(s);
	if (!s->err)
		settle(s);
	/* RFC 9113, 8.2.3; RFC 9114, 4.2.1: one again before anybody else sees them. */
	if (!s->err)
		took(s, fields_join(s->fields, "cookie", "; "), "malformed cookie");
	if (s->err)
		return s->err;
	*out = s->fields;
	s->fields = NULL;
	return 0;
}

/* ---- given ----------------------------------------------------------------------------- */

#define PSEUDOS (SECTION_LIST_MAX - FIELDS_MAX)

/* Room for all of f, and for the names that have to be made lower case. */
static int
list_make(struct section_list *list, const struct adit_fields *f, char **names)
{
	size_t n = adit_fields_count(f), bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += adit_fields_at(f, i)->name.len;
	list->v = malloc((n + PSEUDOS) * sizeof(*list->v) + bytes);
	list->n = 0;
	list->length = SECTION_NO_LENGTH;
	if (!list->v)
		return -ENOMEM;
	*names = (char *)(list->v + n + PSEUDOS);
	return 0;
}

void
section_list_free(struct section_list *list)
{
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

static void
list_add(struct section_list *list, struct adit_text name, struct adit_text value, bool secret)
{
	list->v[list->n++] = (struct section_field){ name, value, secret };
}

static struct adit_text
authority_of(const struct adit_fields *f)
{
	struct adit_text t = adit_fields_control(f, ADIT_AUTHORITY);

	return t.s ? t : adit_fields_get(f, "host");
}

/* Where nothing is said about the scheme it is that of an encrypted connection. */
static int
list_request(struct section_list *list, const struct adit_fields *f)
{
	struct adit_text method = adit_fields_control(f, ADIT_METHOD);
	struct adit_text scheme = adit_fields_control(f, ADIT_SCHEME);
	struct adit_text path = adit_fields_control(f, ADIT_TARGET);
	struct adit_text protocol = adit_fields_control(f, ADIT_PROTOCOL);
	struct adit_text authority = authority_of(f);
	bool connect = method_is(f, "CONNECT");

	if (!method.s || !authority.s || (protocol.s && !connect))
		return -EINVAL;
	list_add(list, T(":method"), method, false);
	if (connect && !protocol.s) {
		list_add(list, T(":authority"), authority, false);
		return 0;
	}
	if (!path.s)
		return -EINVAL;
	list_add(list, T(":scheme"), scheme.s ? scheme : T("https"), false);
	list_add(list, T(":authority"), authority, false);
	list_add(list, T(":path"), path, false);
	if (protocol.s)
		list_add(list, T(":protocol"), protocol, false);
	return 0;
}

static int
list_response(struct section_list *list, const struct adit_fields *f)
{
	char *digits = list->digits;
	int status = adit_fields_status(f);

	if (status < 100 || status > 999 || status == 101)
		return -EINVAL;
	digits[0] = (char)('0' + status / 100);
	digits[1] = (char)('0' + status / 10 % 10);
	digits[2] = (char)('0' + status % 10);
	list_add(list, T(":status"), (struct adit_text){ digits, 3 }, false);
	return 0;
}

/* The name as it is to be sent: f's own where that is in lower case, else written at *names. */
static struct adit_text
lowered(struct adit_text name, char **names)
{
	char *at = *names;
	bool changed = false;

	for (size_t i = 0; i < name.len; i++) {
		bool upper = name.s[i] >= 'A' && name.s[i] <= 'Z';

		at[i] = upper ? (char)(name.s[i] | 0x20) : name.s[i];
		changed |= upper;
	}
	if (!changed)
		return name;
	*names += name.len;
	return (struct adit_text){ at, name.len };
}

/* Whether Content-Length belongs into such a section (RFC 9110, 8.6 and 9.3.6). */
static bool
may_say_length(const struct adit_fields *f, enum section_kind kind)
{
	int status = adit_fields_status(f);

	switch (kind) {
	case SECTION_REQUEST:
		return section_asked(f) != SECTION_ASKED_CONNECT;
	case SECTION_RESPONSE:
		return status >= 200 && status != 204;
	case SECTION_TRAILERS:
		break;
	}
	return false;
}

/* 1: to be sent; 0: not; -EINVAL. */
static int
list_length(struct section_list *list, struct adit_text value)
{
	uint64_t length;

	if (!http_read_length(value, &length))
		return -EINVAL;
	if (list->length != SECTION_NO_LENGTH)
		return list->length == length ? 0 : -EINVAL;
	list->length = length;
	return 1;
}

static int
list_fields(struct section_list *list, const struct adit_fields *f, enum section_kind kind,
	    char *names)
{
	bool with_length = may_say_length(f, kind);

	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);
		enum field_kind is_what = field_kind(field->name);
		int said = 1;

		if (is_what == FIELD_HOP || is_what == FIELD_HOST ||
		    (is_what == FIELD_TE && !is(field->value, T("trailers"))))
			continue;
		if (is_what == FIELD_LENGTH)
			said = with_length ? list_length(list, field->value) : 0;
		if (said < 0)
			return said;
		if (said)
			list_add(list, lowered(field->name, &names), field->value,
				 is_what == FIELD_SECRET || is_what == FIELD_COOKIE);
	}
	return 0;
}

int
section_list(struct section_list *list, const struct adit_fields *f, enum section_kind kind)
{
	char *names;
	int err = list_make(list, f, &names);

	if (err < 0)
		return err;
	if (kind == SECTION_REQUEST)
		err = list_request(list, f);
	else if (kind == SECTION_RESPONSE)
		err = list_response(list, f);
	if (err == 0)
		err = list_fields(list, f, kind, names);
	if (err < 0)
		section_list_free(list);
	return err;
}
