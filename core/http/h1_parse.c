#include "core/http/h1_parse.h"

#include <errno.h>
#include <string.h>

#include "core/http/fields.h"

/* ---- the line structure -------------------------------------------------------------- */

static int
refuse(struct h1_parser *p, int status, const char *why)
{
	if (!p->fault.status)
		p->fault = (struct h1_fault){ status, why };
	return -EBADMSG;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * RFC 9112, 2.3. Its minor versions beyond 1 do not exist, and nobody knows what they would mean.
 */
static int
check_version(struct h1_parser *p, const char *s, size_t len)
{
	if (len < 8 || memcmp(s, "HTTP/", 5) != 0 || !is_digit(s[5]) || s[6] != '.' ||
	    !is_digit(s[7]))
		return refuse(p, 400, "malformed HTTP version");
	if (s[5] != '1' || s[7] > '1')
		return refuse(p, 505, "HTTP version not supported");
	return 0;
}

static int
check_request_line(struct h1_parser *p)
{
	const struct h1_lines *l = &p->lines;

	if (l->spaces != 2 || l->n != 8)
		return refuse(p, 400, "malformed request line");
	return check_version(p, l->token, l->n);
}

/* RFC 9112, 4; the space before an empty reason phrase is missed often, and harmless. */
static int
check_status_line(struct h1_parser *p)
{
	const char *s = p->lines.token;

	if (p->lines.n < 12 || s[8] != ' ' || !is_digit(s[9]) || !is_digit(s[10]) ||
	    !is_digit(s[11]) || s[9] == '0' || (p->lines.n > 12 && s[12] != ' '))
		return refuse(p, 502, "malformed status line");
	return check_version(p, s, p->lines.n);
}

static int
check_start_line(struct h1_parser *p)
{
	return p->llhttp.type == HTTP_REQUEST ? check_request_line(p) : check_status_line(p);
}

/* A byte that is neither CR nor LF. */
static int
line_byte(struct h1_parser *p, char c)
{
	struct h1_lines *l = &p->lines;

	if (c == 0)
		return refuse(p, 400, "NUL in a head");
	if (l->empty && (c == ' ' || c == '\t'))
		return refuse(p, 400, "line begins with a blank");
	l->empty = false;
	if (!l->first)
		return 0;
	if (p->llhttp.type == HTTP_REQUEST && !l->spaces && c != ' ' && !http_is_token(&c, 1))
		return refuse(p, 400, "malformed method");
	if ((p->llhttp.type == HTTP_RESPONSE || l->spaces == 2) && l->n < sizeof(l->token))
		l->token[l->n++] = c;
	if (c == ' ' && l->spaces < 3)
		l->spaces++;
	return 0;
}

/* A CRLF. Returns 1 at the end of the section. */
static int
line_end(struct h1_parser *p)
{
	struct h1_lines *l = &p->lines;
	int err;

	l->cr = false;
	if (!l->empty) {
		err = l->first ? check_start_line(p) : 0;
		l->first = false;
		l->empty = true;
		return err;
	}
	if (!l->first)
		return 1;
	/* RFC 9112, 2.2: a server ignores an empty line before the request line. */
	return p->llhttp.type == HTTP_REQUEST ? 0 : refuse(p, 502, "empty line before a response");
}

/*
 * How many of the bytes belong to the section, *end when it is complete. Only CRLF ends a line (RFC
 * 9112, 2.2 lets a recipient take a bare LF, and has a bare CR refused), and no line is folded
 * (5.2).
 */
static ssize_t
lines_scan(struct h1_parser *p, const char *s, size_t len, bool *end)
{
	struct h1_lines *l = &p->lines;

	for (size_t i = 0; i < len; i++) {
		int err = 0;

		if (++l->bytes > H1_HEAD_MAX)
			return refuse(p, l->first ? 414 : 431, "head too large");
		if (l->cr)
			err = s[i] == '\n' ? line_end(p) : refuse(p, 400, "CR without LF");
		else if (s[i] == '\r')
			l->cr = true;
		else if (s[i] == '\n')
			err = refuse(p, 400, "LF without CR");
		else
			err = line_byte(p, s[i]);
		if (err < 0)
			return err;
		if (err > 0) {
			*end = true;
			return (ssize_t)i + 1;
		}
	}
	return (ssize_t)len;
}

/* ---- what llhttp tells -------------------------------------------------------------------- */

static struct h1_parser *
parser_of(llhttp_t *l)
{
	return l->data;
}

/* Turns a result of fields_* into what a callback of llhttp returns. */
static int
result(struct h1_parser *p, int err)
{
	if (err == 0)
		return 0;
	if (err == -E2BIG)
		refuse(p, 431, "head too large");
	else if (err == -EINVAL)
		refuse(p, 400, "malformed field");
	else
		refuse(p, 500, "out of memory");
	return -1;
}

static int
on_start_line(llhttp_t *l, const char *s, size_t len)
{
	struct h1_parser *p = parser_of(l);

	return result(p, fields_append(p->fields, s, len));
}

static int
on_url_complete(llhttp_t *l)
{
	struct h1_parser *p = parser_of(l);

	return result(p, fields_finish(p->fields, &p->target));
}

static int
on_status_complete(llhttp_t *l)
{
	struct h1_parser *p = parser_of(l);
	struct adit_text reason;
	int err = fields_finish(p->fields, &reason);

	return result(p, err < 0 ? err : fields_control(p->fields, ADIT_REASON, reason));
}

static int
on_field_name(llhttp_t *l, const char *s, size_t len)
{
	struct h1_parser *p = parser_of(l);

	if (!p->fields)
		p->fields = adit_fields_new();		/* the first trailer */
	if (!p->fields)
		return result(p, -ENOMEM);
	return result(p, fields_append(p->fields, s, len));
}

static int
on_field_name_complete(llhttp_t *l)
{
	struct h1_parser *p = parser_of(l);

	/* No fields: a name without a byte. */
	return result(p, p->fields ? fields_finish(p->fields, &p->name) : -EINVAL);
}

static int
on_field_value(llhttp_t *l, const char *s, size_t len)
{
	struct h1_parser *p = parser_of(l);

	return result(p, fields_append(p->fields, s, len));
}

static int
on_field_value_complete(llhttp_t *l)
{
	struct h1_parser *p = parser_of(l);
	struct adit_text value;
	int err = fields_finish_value(p->fields, &value);

	return result(p, err < 0 ? err : fields_push(p->fields, p->name, value));
}

/*
 * The fields that frame a body. Each may be there once; a list of equal lengths (RFC 9112, 6.3, 5)
 * is refused too.
 */
struct framing_fields {
	struct adit_text length, coding;
	unsigned n_length, n_coding;
};

static struct framing_fields
find_framing(const struct adit_fields *f)
{
	struct framing_fields found = { .n_length = 0 };

	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);

		if (http_text_equal(field->name, "Content-Length", 14)) {
			found.length = field->value;
			found.n_length++;
		} else if (http_text_equal(field->name, "Transfer-Encoding", 17)) {
			found.coding = field->value;
			found.n_coding++;
		}
	}
	return found;
}

/* RFC 9112, 6.1 and 6.3, for a message that may have a body. */
static int
read_framing(struct h1_parser *p)
{
	struct framing_fields found = find_framing(p->fields);
	bool request = p->llhttp.type == HTTP_REQUEST;

	p->framing = request ? H1_NO_BODY : H1_UNTIL_EOF;
	if (found.n_coding + found.n_length > 1)
		return refuse(p, 400, "more than one field that frames the body");
	if (found.n_coding) {
		if (adit_fields_version(p->fields) < 11)
			return refuse(p, 400, "transfer coding in HTTP/1.0");
		if (!http_text_equal(found.coding, "chunked", 7))
			return refuse(p, 501, "transfer coding not supported");
		p->framing = H1_CHUNKED;
	} else if (found.n_length) {
		if (!http_read_length(found.length, &p->length))
			return refuse(p, 400, "malformed Content-Length");
		p->framing = p->length ? H1_LENGTH : H1_NO_BODY;
	}
	/*
	 * Two readers that differ about where a message ends are what smuggling needs: ours must
	 * not.
	 */
	if ((p->framing == H1_CHUNKED) != !!(p->llhttp.flags & F_CHUNKED))
		return refuse(p, 400, "ambiguous transfer coding");
	return 0;
}

static int
request_headers_complete(struct h1_parser *p)
{
	const char *method = llhttp_method_name((llhttp_method_t)llhttp_get_method(&p->llhttp));
	int err = fields_control(p->fields, ADIT_METHOD,
				 (struct adit_text){ method, strlen(method) });

	if (err < 0)
		return result(p, err);
	if (read_framing(p) < 0)
		return -1;
	if (p->llhttp.method == HTTP_CONNECT && p->framing != H1_NO_BODY)
		return refuse(p, 400, "CONNECT with a body");
	return p->framing == H1_NO_BODY;
}

/* RFC 9112, 6.3: 1 to 3, then as for requests. */
static int
response_headers_complete(struct h1_parser *p)
{
	int status = llhttp_get_status_code(&p->llhttp);

	adit_fields_set_status(p->fields, status);
	p->framing = H1_NO_BODY;
	if (status == 101 && p->asked != H1_ASKED_UPGRADE)
		return refuse(p, 502, "upgrade that was not asked for");
	if (status == 101 || (p->asked == H1_ASKED_CONNECT && status / 100 == 2)) {
		p->framing = H1_RAW;
		return 2;
	}
	if (status / 100 == 1 || status == 204 || status == 304 || p->asked == H1_ASKED_HEAD)
		return 1;
	if (read_framing(p) < 0)
		return -1;
	return p->framing == H1_NO_BODY;
}

/* Returns 1 where llhttp would look for a body and there is none, 2 for the end of HTTP. */
static int
on_headers_complete(llhttp_t *l)
{
	struct h1_parser *p = parser_of(l);
	int what;

	adit_fields_set_version(p->fields,
				llhttp_get_http_major(l) * 10 + llhttp_get_http_minor(l));
	what = l->type == HTTP_REQUEST ? request_headers_complete(p) : response_headers_complete(p);
	if (what < 0)
		return -1;
	p->head_done = true;
	return what;
}

static int
on_body(llhttp_t *l, const char *s, size_t len)
{
	struct h1_parser *p = parser_of(l);

	if (!p->out)
		return -1;		/* while a head is read */
	memmove(p->out + p->n_out, s, len);
	p->n_out += len;
	p->overhead = 0;
	return 0;
}

/* Before the trailers the line check must begin anew, so llhttp stops there. */
static int
on_chunk_header(llhttp_t *l)
{
	if (l->content_length > H1_CHUNK_MAX)
		return refuse(parser_of(l), 413, "chunk too large");
	return l->content_length == 0 ? HPE_PAUSED : 0;
}

/* And before the next chunk's line. */
static int
on_chunk_complete(llhttp_t *l)
{
	return parser_of(l)->in_trailers ? 0 : HPE_PAUSED;
}

static int
on_message_complete(llhttp_t *l)
{
	parser_of(l)->body_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_start_line,
	.on_status = on_start_line,
	.on_url_complete = on_url_complete,
	.on_status_complete = on_status_complete,
	.on_header_field = on_field_name,
	.on_header_field_complete = on_field_name_complete,
	.on_header_value = on_field_value,
	.on_header_value_complete = on_field_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
	.on_chunk_header = on_chunk_header,
	.on_chunk_complete = on_chunk_complete,
};

/* ---- driving it ------------------------------------------------------------------------------ */

void
h1_parser_init(struct h1_parser *p, llhttp_type_t type)
{
	*p = (struct h1_parser){ .asked = H1_ASKED_PLAIN };
	llhttp_init(&p->llhttp, type, &settings);
	p->llhttp.data = p;
}

void
h1_parser_fini(struct h1_parser *p)
{
	adit_fields_free(p->fields);
	p->fields = NULL;
}

static void
lines_start(struct h1_lines *l, bool first)
{
	*l = (struct h1_lines){ .empty = true, .first = first };
}

void
h1_parser_start(struct h1_parser *p, enum h1_asked asked)
{
	h1_parser_fini(p);
	llhttp_reset(&p->llhttp);
	lines_start(&p->lines, true);
	p->asked = asked;
	p->head_done = p->body_done = p->in_trailers = false;
	p->fault = (struct h1_fault){ 0, NULL };
	p->target = p->name = (struct adit_text){ NULL, 0 };
	p->framing = H1_NO_BODY;
	p->length = 0;
	p->chunk_line = H1_CHUNK_BEGIN;
	p->overhead = 0;
	p->out = NULL;
}

bool
h1_parser_begun(const struct h1_parser *p)
{
	return !p->lines.first || !p->lines.empty;
}

struct adit_fields *
h1_parser_take(struct h1_parser *p)
{
	struct adit_fields *f = p->fields;

	p->fields = NULL;
	return f;
}

/* What llhttp did not like, for whom the callbacks have not said. */
static int
refuse_by_llhttp(struct h1_parser *p, llhttp_errno_t err)
{
	if (p->fault.status == 500)
		return -ENOMEM;
	if (err == HPE_INVALID_METHOD)		/* it is a token: lines_scan has seen to that */
		return refuse(p, 501, "method not known");
	if (err == HPE_INVALID_VERSION && p->lines.first && p->lines.n == 8)
		check_version(p, p->lines.token, 8);
	return refuse(p, 400, "malformed message");
}

/* Runs llhttp; returns how many bytes it used. */
static ssize_t
execute(struct h1_parser *p, const char *s, size_t len)
{
	llhttp_errno_t err = llhttp_execute(&p->llhttp, s, len);

	if (err == HPE_OK)
		return (ssize_t)len;
	if (err != HPE_PAUSED && err != HPE_PAUSED_UPGRADE)
		return refuse_by_llhttp(p, err);
	return llhttp_get_error_pos(&p->llhttp) - s;
}

/* Reads on in a head or in trailers, as far as they go. */
static ssize_t
parse_section(struct h1_parser *p, const char *s, size_t len, const bool *done)
{
	bool end = false;
	ssize_t n = lines_scan(p, s, len, &end);
	ssize_t used;

	if (n < 0)
		return n;
	used = execute(p, s, (size_t)n);
	if (used < 0)
		return used;
	/* Both readers must see the end at the same byte. */
	if (used != n || *done != end)
		return refuse(p, 400, "ambiguous end of a head");
	return n;
}

ssize_t
h1_parse_head(struct h1_parser *p, const char *s, size_t len)
{
	if (!p->fields) {
		p->fields = adit_fields_new();
		if (!p->fields)
			return -ENOMEM;
	}
	return parse_section(p, s, len, &p->head_done);
}

/* The chunk's line is complete: llhttp is paused if it was the last one's. */
static void
chunk_line_done(struct h1_parser *p)
{
	if (llhttp_get_errno(&p->llhttp) != HPE_PAUSED)
		return;
	llhttp_resume(&p->llhttp);
	p->in_trailers = true;
	lines_start(&p->lines, false);
}

/*
 * The line before a chunk. llhttp gets it without its extensions, of which not all versions take
 * the same.
 */
static ssize_t
parse_chunk_line(struct h1_parser *p, const char *s, size_t len)
{
	size_t n = 0, from = 0;
	ssize_t used = 0;

	while (used >= 0 && n < len && p->chunk_line != H1_CHUNK_END) {
		p->chunk_line = h1_chunk_line_next(p->chunk_line, s[n]);
		if (p->chunk_line == H1_CHUNK_MALFORMED)
			return refuse(p, 400, "malformed chunk line");
		if (p->chunk_line > H1_CHUNK_END) {
			used = from < n ? execute(p, s + from, n - from) : 0;
			from = n + 1;
		}
		n++;
	}
	if (used >= 0 && from < n)
		used = execute(p, s + from, n - from);
	if (used < 0)
		return used;
	p->overhead += n;
	if (p->overhead > H1_CHUNK_LINE_MAX)
		return refuse(p, 400, "chunk extensions too large");
	if (p->chunk_line == H1_CHUNK_END)
		chunk_line_done(p);
	return (ssize_t)n;
}

/* A chunk and the CRLF behind it. */
static ssize_t
parse_chunk(struct h1_parser *p, const char *s, size_t len)
{
	ssize_t used = execute(p, s, len);

	if (used < 0 || llhttp_get_errno(&p->llhttp) != HPE_PAUSED)
		return used;
	llhttp_resume(&p->llhttp);
	p->chunk_line = H1_CHUNK_BEGIN;
	return used;
}

static ssize_t
parse_body(struct h1_parser *p, const char *s, size_t len)
{
	if (p->in_trailers)
		return parse_section(p, s, len, &p->body_done);
	if (p->chunk_line != H1_CHUNK_END)
		return parse_chunk_line(p, s, len);
	return parse_chunk(p, s, len);
}

ssize_t
h1_parse_chunks(struct h1_parser *p, const char *s, size_t len, char *out, size_t *n_out)
{
	size_t done = 0;
	ssize_t n = 0;

	p->out = out;
	p->n_out = 0;
	while (n >= 0 && done < len && !p->body_done) {
		n = parse_body(p, s + done, len - done);
		if (n > 0)
			done += (size_t)n;
	}
	p->out = NULL;
	*n_out = p->n_out;
	return n < 0 ? n : (ssize_t)done;
}
