#include "core/http/h1_write.h"

#include <errno.h>
#include <string.h>

#include "core/http/fields.h"
#include "core/http/respond.h"

/* Copies into the queue's own memory, chunk by chunk. */
struct writer {
	struct queue	*q;
	char		*at;
	size_t		 room, used;	/* in the piece at is in */
	int		 err;
};

static void
writer_flush(struct writer *w)
{
	if (w->at)
		queue_commit(w->q, w->used);
	w->at = NULL;
	w->room = w->used = 0;
}

static void
put(struct writer *w, const char *s, size_t len)
{
	while (len && !w->err) {
		size_t n;

		if (w->used == w->room) {
			writer_flush(w);
			w->at = queue_reserve(w->q, &w->room);
			if (!w->at) {
				w->err = -ENOMEM;
				return;
			}
		}
		n = w->room - w->used < len ? w->room - w->used : len;
		memcpy(w->at + w->used, s, n);
		w->used += n;
		s += n;
		len -= n;
	}
}

static void
put_text(struct writer *w, struct adit_text t)
{
	put(w, t.s, t.len);
}

static struct adit_text
text_of(const char *s)
{
	return (struct adit_text){ s, strlen(s) };
}

#define PUT(w, literal) put(w, literal, sizeof(literal) - 1)

static void
put_field(struct writer *w, const struct adit_field *field)
{
	put_text(w, field->name);
	PUT(w, ": ");
	put_text(w, field->value);
	PUT(w, "\r\n");
}

/*
 * What a head has beyond its texts: version, separators, the fields that are added; CONNECT says
 * its target twice.
 */
#define HEAD_EXTRA 192

/* ---- which fields go out -------------------------------------------------------------- */

enum field_kind {
	FIELD_OTHER, FIELD_HOST, FIELD_LENGTH, FIELD_CODING, FIELD_CONNECTION, FIELD_TRAILER,
};

static enum field_kind
field_kind(struct adit_text name)
{
	switch (name.len) {
	case 4:
		return http_text_equal(name, "host", 4) ? FIELD_HOST : FIELD_OTHER;
	case 7:
		return http_text_equal(name, "trailer", 7) ? FIELD_TRAILER : FIELD_OTHER;
	case 10:
		return http_text_equal(name, "connection", 10) ? FIELD_CONNECTION : FIELD_OTHER;
	case 14:
		return http_text_equal(name, "content-length", 14) ? FIELD_LENGTH : FIELD_OTHER;
	case 17:
		return http_text_equal(name, "transfer-encoding", 17) ? FIELD_CODING : FIELD_OTHER;
	default:
		return FIELD_OTHER;
	}
}

static bool
has_word(struct adit_text list, const char *word, size_t len)
{
	struct adit_text element;

	while (http_list_next(&list, &element))
		if (http_text_equal(element, word, len))
			return true;
	return false;
}

/* What the fields say about framing and connection. */
struct said {
	bool	 length_given, close;
	uint64_t length;
};

static int
read_said(const struct adit_fields *f, struct said *said)
{
	*said = (struct said){ .length_given = false };
	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);
		enum field_kind kind = field_kind(field->name);

		if (kind == FIELD_CONNECTION && has_word(field->value, "close", 5))
			said->close = true;
		if (kind != FIELD_LENGTH)
			continue;
		if (said->length_given || !http_read_length(field->value, &said->length))
			return -EINVAL;
		said->length_given = true;
	}
	return 0;
}

/* All but what this module writes itself. */
static void
put_fields(struct writer *w, const struct adit_fields *f, bool with_length)
{
	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);
		enum field_kind kind = field_kind(field->name);

		if (kind == FIELD_HOST || kind == FIELD_CODING ||
		    (kind == FIELD_LENGTH && !with_length))
			continue;
		put_field(w, field);
	}
}

static int
head_fits(const struct queue *q, const struct adit_fields *f)
{
	size_t authority = adit_fields_control(f, ADIT_AUTHORITY).len;

	return queue_room(q) < fields_bytes(f) + authority + HEAD_EXTRA ? -EAGAIN : 0;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* RFC 9110, 8.6: where a body would have a meaning, that there is none is said. */
static bool
method_expects_body(struct adit_text method)
{
	return http_text_equal(method, "POST", 4) || http_text_equal(method, "PUT", 3) ||
	       http_text_equal(method, "PATCH", 5);
}

/* By Content-Length; -EINVAL: it promises a body, and there is none. */
static int
frame_length(struct h1_message *m, uint64_t length)
{
	if (m->end && length)
		return -EINVAL;
	m->length = length;
	m->framing = length ? H1_LENGTH : H1_NO_BODY;
	return 0;
}

static int
frame_request(struct h1_message *m, const struct said *said)
{
	m->framing = m->end ? H1_NO_BODY : H1_CHUNKED;
	m->length = 0;
	if (m->asked == H1_ASKED_CONNECT || (m->asked == H1_ASKED_UPGRADE && !said->length_given)) {
		m->framing = H1_NO_BODY;
	} else if (said->length_given && frame_length(m, said->length) < 0) {
		return -EINVAL;
	}
	if (said->close)
		m->keep = false;
	return 0;
}

int
h1_write_request(struct queue *q, const struct adit_fields *f, struct h1_message *m)
{
	struct adit_text method = adit_fields_control(f, ADIT_METHOD);
	struct adit_text authority = adit_fields_control(f, ADIT_AUTHORITY);
	struct adit_text target =
		m->asked == H1_ASKED_CONNECT ? authority : adit_fields_control(f, ADIT_TARGET);
	struct writer w = { .q = q };
	struct said said;
	int err = read_said(f, &said);

	if (err == 0)
		err = frame_request(m, &said);
	if (err == 0)
		err = method.s && target.s ? head_fits(q, f) : -EINVAL;
	if (err < 0)
		return err;
	put_text(&w, method);
	PUT(&w, " ");
	put_text(&w, target);
	PUT(&w, " HTTP/1.1\r\nHost: ");
	put_text(&w, authority);
	PUT(&w, "\r\n");
	put_fields(&w, f, m->asked != H1_ASKED_CONNECT);
	if (m->framing == H1_CHUNKED)
		PUT(&w, "Transfer-Encoding: chunked\r\n");
	else if (m->framing == H1_NO_BODY && !said.length_given && method_expects_body(method))
		PUT(&w, "Content-Length: 0\r\n");
	if (!m->keep && !said.close)
		PUT(&w, "Connection: close\r\n");
	PUT(&w, "\r\n");
	writer_flush(&w);
	return w.err;
}

/* ---- responses ---------------------------------------------------------------------------- */

/* RFC 9110, 8.6: not in 1xx, 204 or a 2xx to CONNECT. */
static bool
may_say_length(int status, enum h1_asked asked)
{
	return status >= 200 && status != 204 && !(asked == H1_ASKED_CONNECT && status < 300);
}

/* RFC 9112, 6.3 as its writer has to see it. */
static int
frame_response(int status, struct h1_message *m, const struct said *said)
{
	bool tunnel = status == 101 || (m->asked == H1_ASKED_CONNECT && status / 100 == 2);

	if (said->close)
		m->keep = false;
	m->length = 0;
	if (tunnel) {
		if (status == 101 && m->asked != H1_ASKED_UPGRADE)
			return -EINVAL;
		m->framing = H1_RAW;
	} else if (status < 200 || status == 204 || status == 304 || m->asked == H1_ASKED_HEAD) {
		m->framing = H1_NO_BODY;
	} else if (said->length_given) {
		if (frame_length(m, said->length) < 0)
			return -EINVAL;
	} else if (m->end) {
		m->framing = H1_NO_BODY;
	} else {
		m->framing = m->peer_version > 10 ? H1_CHUNKED : H1_UNTIL_EOF;
	}
	if (m->framing == H1_UNTIL_EOF)
		m->keep = false;
	return 0;
}

/* What is added behind the given fields. */
static void
put_response_framing(struct writer *w, int status, const struct h1_message *m,
		     const struct said *said)
{
	bool final = status >= 200;

	if (m->framing == H1_CHUNKED)
		PUT(w, "Transfer-Encoding: chunked\r\n");
	else if (m->framing == H1_NO_BODY && !said->length_given &&
		 may_say_length(status, m->asked) && status != 304 && m->asked != H1_ASKED_HEAD)
		PUT(w, "Content-Length: 0\r\n");
	if (!final || m->framing == H1_RAW)
		return;
	if (!m->keep && !said->close)
		PUT(w, "Connection: close\r\n");
	else if (m->keep && m->peer_version == 10)
		PUT(w, "Connection: keep-alive\r\n");
}

int
h1_write_response(struct queue *q, const struct adit_fields *f, struct h1_message *m)
{
	int status = adit_fields_status(f);
	struct adit_text reason = adit_fields_control(f, ADIT_REASON);
	char digits[3] = { (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
			   (char)('0' + status % 10) };
	struct writer w = { .q = q };
	struct said said;
	int err = status < 100 || status > 999 ? -EINVAL : read_said(f, &said);

	if (err == 0)
		err = frame_response(status, m, &said);
	if (err == 0)
		err = head_fits(q, f);
	if (err < 0)
		return err;
	PUT(&w, "HTTP/1.1 ");
	put(&w, digits, 3);
	PUT(&w, " ");
	put_text(&w, reason.s ? reason : text_of(http_status_text(status)));
	PUT(&w, "\r\n");
	put_fields(&w, f, may_say_length(status, m->asked));
	put_response_framing(&w, status, m, &said);
	PUT(&w, "\r\n");
	writer_flush(&w);
	return w.err;
}

/* ---- chunks --------------------------------------------------------------------------------- */

int
h1_write_trailers(struct queue *q, const struct adit_fields *t)
{
	struct writer w = { .q = q };

	if (queue_room(q) < (t ? fields_bytes(t) : 0) + sizeof("0\r\n\r\n"))
		return -EAGAIN;
	PUT(&w, "0\r\n");
	for (size_t i = 0; t && i < adit_fields_count(t); i++)
		if (field_kind(adit_fields_at(t, i)->name) == FIELD_OTHER)
			put_field(&w, adit_fields_at(t, i));
	PUT(&w, "\r\n");
	writer_flush(&w);
	return w.err;
}

size_t
h1_chunk_head(char out[H1_CHUNK_HEAD], size_t size)
{
	char reversed[16];
	size_t n = 0, len = 0;

	do {
		reversed[n++] = "0123456789abcdef"[size & 15];
		size >>= 4;
	} while (size);
	while (n)
		out[len++] = reversed[--n];
	out[len++] = '\r';
	out[len++] = '\n';
	return len;
}
