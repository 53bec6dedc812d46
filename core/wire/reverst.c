#include "core/wire/reverst.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/wire/bytes.h"

#define AUTHORIZATION "Authorization"

/* ---- msgpack ----------------------------------------------------------------------------- */

enum token_type {
	TOKEN_NONE,		/* 0xc1, which is nothing */
	TOKEN_NIL, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_ARRAY, TOKEN_MAP,
	TOKEN_OTHER,		/* a bool, a float, an extension */
};

/* One value, an array or a map without what it holds. */
struct token {
	uint8_t		code;
	enum token_type	type;		/* from here on by code alone */
	unsigned	width;		/* bytes of a number or a length behind the code */
	unsigned	extra;		/* bytes behind that, besides the length */
	uint64_t	number;		/* or the length of a text, how many an array has */
	bool		whole;		/* its head is there, and number is known */
};

/* 0xc0 to 0xdf; a number's own bytes are its width. */
static const struct form {
	enum token_type	type;
	uint8_t		width, extra;
} forms[] = {
	{ TOKEN_NIL, 0, 0 },	{ TOKEN_NONE, 0, 0 },	{ TOKEN_OTHER, 0, 0 },
	{ TOKEN_OTHER, 0, 0 },	{ TOKEN_TEXT, 1, 0 },	{ TOKEN_TEXT, 2, 0 },
	{ TOKEN_TEXT, 4, 0 },	{ TOKEN_OTHER, 1, 1 },	{ TOKEN_OTHER, 2, 1 },
	{ TOKEN_OTHER, 4, 1 },	{ TOKEN_OTHER, 0, 4 },	{ TOKEN_OTHER, 0, 8 },
	{ TOKEN_NUMBER, 1, 0 }, { TOKEN_NUMBER, 2, 0 }, { TOKEN_NUMBER, 4, 0 },
	{ TOKEN_NUMBER, 8, 0 }, { TOKEN_NUMBER, 1, 0 }, { TOKEN_NUMBER, 2, 0 },
	{ TOKEN_NUMBER, 4, 0 }, { TOKEN_NUMBER, 8, 0 }, { TOKEN_OTHER, 0, 2 },
	{ TOKEN_OTHER, 0, 3 },	{ TOKEN_OTHER, 0, 5 },	{ TOKEN_OTHER, 0, 9 },
	{ TOKEN_OTHER, 0, 17 }, { TOKEN_TEXT, 1, 0 },	{ TOKEN_TEXT, 2, 0 },
	{ TOKEN_TEXT, 4, 0 },	{ TOKEN_ARRAY, 2, 0 },	{ TOKEN_ARRAY, 4, 0 },
	{ TOKEN_MAP, 2, 0 },	{ TOKEN_MAP, 4, 0 },
};

/* What is within the code itself, or false. */
static bool
token_is_short(struct token *t)
{
	uint8_t c = t->code;

	if (c >= 0xc0 && c < 0xe0)
		return false;
	if (c < 0x80 || c >= 0xe0) {
		t->type = TOKEN_NUMBER;
		t->number = c;
	} else if (c >= 0xa0) {
		t->type = TOKEN_TEXT;
		t->number = c & 0x1f;
	} else {
		t->type = c >= 0x90 ? TOKEN_ARRAY : TOKEN_MAP;
		t->number = c & 0x0f;
	}
	t->whole = true;
	return true;
}

/* Of at least one byte. */
static void
token_read(struct token *t, const uint8_t *p, size_t len)
{
	*t = (struct token){ .code = *p };
	if (token_is_short(t))
		return;
	t->type = forms[*p - 0xc0].type;
	t->width = forms[*p - 0xc0].width;
	t->extra = forms[*p - 0xc0].extra;
	t->whole = len > t->width;
	for (unsigned i = 0; t->whole && i < t->width; i++)
		t->number = t->number << 8 | p[1 + i];
}

static size_t
token_head(const struct token *t)
{
	return 1 + t->width;
}

/* What belongs to it behind its head. */
static uint64_t
token_tail(const struct token *t)
{
	bool sized = t->type == TOKEN_TEXT || (t->type == TOKEN_OTHER && t->width);

	return t->extra + (sized ? t->number : 0);
}

/* Values that an array or a map announces; each has at least a byte. */
static uint64_t
token_holds(const struct token *t)
{
	if (t->type == TOKEN_MAP)
		return t->number * 2;
	return t->type == TOKEN_ARRAY ? t->number : 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

enum state {
	STATE_TOP, STATE_KEY, STATE_VERSION, STATE_CODE, STATE_GROUP, STATE_BODY, STATE_METADATA,
	STATE_METADATA_KEY, STATE_METADATA_VALUE, STATE_SKIP, STATE_DONE,
};

struct reverst_field {
	const char	*key;
	enum state	 state;
};

static const struct reverst_field request_fields[] = {
	{ "Version", STATE_VERSION }, { "TunnelGroup", STATE_GROUP },
	{ "Metadata", STATE_METADATA },
};

static const struct reverst_field answer_fields[] = {
	{ "Version", STATE_VERSION }, { "Code", STATE_CODE }, { "Metadata", STATE_METADATA },
	{ "Body", STATE_BODY },
};

/* Behind a value of the message itself. */
static void
next_field(struct reverst_decoder *d)
{
	if (d->left == 0)
		d->state = STATE_DONE;
	else if (d->array)
		d->state = d->fields[d->field++].state;
	else
		d->state = STATE_KEY;
	d->left -= d->left > 0;
}

static int
take_top(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	(void)p;
	d->array = t->type == TOKEN_ARRAY;
	if (d->array && t->number && t->number != d->n_fields) {
		snprintf(d->why, sizeof(d->why),
			 "msgpack: number of fields in array-encoded struct has changed");
		return -EBADMSG;
	}
	d->left = t->number;
	next_field(d);
	return 0;
}

static bool
text_is(const struct token *t, const uint8_t *p, const char *text)
{
	return t->number == strlen(text) && memcmp(p + token_head(t), text, t->number) == 0;
}

static int
take_key(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	d->state = STATE_SKIP;
	d->skips = 1;
	for (size_t i = 0; i < d->n_fields; i++)
		if (text_is(t, p, d->fields[i].key))
			d->state = d->fields[i].state;
	return 0;
}

static int
take_number(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	(void)p;
	if (d->state == STATE_VERSION)
		d->version = (uint8_t)t->number;
	else
		d->code = (uint8_t)t->number;
	next_field(d);
	return 0;
}

static struct reverst_span
span_of(const struct reverst_decoder *d, const struct token *t)
{
	return (struct reverst_span){ .at = d->at + token_head(t), .len = (size_t)t->number };
}

static int
take_text(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	(void)p;
	if (d->state == STATE_GROUP)
		d->group = span_of(d, t);
	else
		d->body = span_of(d, t);
	next_field(d);
	return 0;
}

/* Behind a pair of Metadata. */
static void
next_pair(struct reverst_decoder *d)
{
	if (d->pairs == 0) {
		next_field(d);
		return;
	}
	d->pairs--;
	d->state = STATE_METADATA_KEY;
}

static int
take_metadata(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	(void)p;
	if (t->type == TOKEN_NIL)
		d->authorization = (struct reverst_span){ 0 };
	d->pairs = t->number;
	next_pair(d);
	return 0;
}

static int
take_metadata_key(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	d->authorizes = text_is(t, p, AUTHORIZATION);
	d->state = STATE_METADATA_VALUE;
	return 0;
}

static int
take_metadata_value(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	(void)p;
	if (d->authorizes)
		d->authorization = span_of(d, t);
	next_pair(d);
	return 0;
}

/* Counting what is still to come steps over any depth without one of our own. */
static int
take_skipped(struct reverst_decoder *d, const struct token *t, const uint8_t *p)
{
	(void)p;
	d->skips += token_holds(t) - 1;
	if (d->skips == 0)
		next_field(d);
	return 0;
}

enum {
	NIL = 1 << TOKEN_NIL,
	NUMBER = 1 << TOKEN_NUMBER,
	TEXT = 1 << TOKEN_TEXT,
	ARRAY = 1 << TOKEN_ARRAY,
	MAP = 1 << TOKEN_MAP,
	OTHER = 1 << TOKEN_OTHER,
};

/* What may come in which state, how reverst complains of anything else, and what it does. */
static const struct step {
	unsigned	 types;
	const char	*is, *decoding;		/* "invalid", "uint64" */
	int		(*take)(struct reverst_decoder *d, const struct token *t, const uint8_t *p);
} steps[] = {
	[STATE_TOP] = { NIL | MAP | ARRAY, "unexpected", "map length", take_top },
	[STATE_KEY] = { NIL | TEXT, "invalid", "string/bytes length", take_key },
	[STATE_VERSION] = { NIL | NUMBER, "invalid", "uint64", take_number },
	[STATE_CODE] = { NIL | NUMBER, "invalid", "uint64", take_number },
	[STATE_GROUP] = { NIL | TEXT, "invalid", "string/bytes length", take_text },
	[STATE_BODY] = { NIL | TEXT, "invalid", "string/bytes length", take_text },
	[STATE_METADATA] = { NIL | MAP, "unexpected", "map length", take_metadata },
	[STATE_METADATA_KEY] = { NIL | TEXT, "invalid", "string/bytes length", take_metadata_key },
	[STATE_METADATA_VALUE] = { NIL | TEXT, "invalid", "string/bytes length",
				   take_metadata_value },
	[STATE_SKIP] = { NIL | NUMBER | TEXT | ARRAY | MAP | OTHER, NULL, NULL, take_skipped },
};

static int
refuse_token(struct reverst_decoder *d, const struct step *step, uint8_t code)
{
	if (step->is)
		snprintf(d->why, sizeof(d->why), "msgpack: %s code=%x decoding %s", step->is, code,
			 step->decoding);
	else
		snprintf(d->why, sizeof(d->why), "msgpack: unknown code %x", code);
	return -EBADMSG;
}

/* Whether what is announced has room, at a byte for each value. */
static bool
token_fits(const struct reverst_decoder *d, const struct token *t)
{
	uint64_t later = d->left + d->skips - (d->skips > 0);	/* t itself is one of skips */

	return d->at + token_head(t) + token_tail(t) + token_holds(t) + later <=
	       REVERST_MESSAGE_MAX;
}

/* 0: a value is behind us; 1: it has not come whole; or an error. */
static int
decode_one(struct reverst_decoder *d, const uint8_t *p, size_t len)
{
	const struct step *step = &steps[d->state];
	uint64_t size;
	struct token t;
	int err;

	if (len == 0)
		return 1;
	token_read(&t, p, len);
	if (!(step->types & 1u << t.type))
		return refuse_token(d, step, t.code);
	size = token_head(&t) + token_tail(&t);
	if (!token_fits(d, &t)) {
		snprintf(d->why, sizeof(d->why), "message longer than %d bytes",
			 REVERST_MESSAGE_MAX);
		return -EMSGSIZE;
	}
	if (!t.whole || len < size)
		return 1;
	err = step->take(d, &t, p);
	d->at += (size_t)size;
	return err;
}

static struct reverst_text
text_of(const char *buf, struct reverst_span span)
{
	return (struct reverst_text){ .s = span.len ? buf + span.at : "", .len = span.len };
}

void
reverst_begin(struct reverst_decoder *d, enum reverst_kind kind)
{
	bool request = kind == REVERST_REQUEST;

	*d = (struct reverst_decoder){
		.fields = request ? request_fields : answer_fields,
		.n_fields = request ? sizeof(request_fields) / sizeof(*request_fields) :
				      sizeof(answer_fields) / sizeof(*answer_fields),
		.state = STATE_TOP,
	};
}

ssize_t
reverst_decode(struct reverst_decoder *d, const void *buf, size_t len, struct reverst_message *out)
{
	int err = 0;

	assert(len >= d->at);
	while (!err && d->state != STATE_DONE)
		err = decode_one(d, (const uint8_t *)buf + d->at, len - d->at);
	if (err)
		return err < 0 ? err : 0;
	*out = (struct reverst_message){
		.version = d->version,
		.code = d->code,
		.group = text_of(buf, d->group),
		.authorization = text_of(buf, d->authorization),
		.body = text_of(buf, d->body),
	};
	return (ssize_t)d->at;
}

const char *
reverst_unfinished(size_t len)
{
	return len ? "unexpected EOF" : "EOF";
}

/* ---- writing ------------------------------------------------------------------------------ */

static void
put_text(struct wire_writer *w, const char *text)
{
	size_t len = strlen(text);

	if (len < 32) {
		wire_put8(w, 0xa0 | (unsigned)len);
	} else if (len < 1 << 8) {
		wire_put8(w, 0xd9);
		wire_put8(w, (unsigned)len);
	} else if (len < 1 << 16) {
		wire_put8(w, 0xda);
		wire_put16(w, (unsigned)len);
	} else {
		wire_put8(w, 0xdb);
		wire_put16(w, (unsigned)(len >> 16));
		wire_put16(w, (unsigned)len);
	}
	wire_put(w, text, len);
}

/* A uint8 has its marker even where it would be shorter without. */
static void
put_number(struct wire_writer *w, const char *key, unsigned value)
{
	put_text(w, key);
	wire_put8(w, 0xcc);
	wire_put8(w, value);
}

static void
put_nil(struct wire_writer *w, const char *key)
{
	put_text(w, key);
	wire_put8(w, 0xc0);
}

size_t
reverst_encode_request(const char *group, const char *authorization, void *out, size_t size)
{
	struct wire_writer w = { .p = out, .cap = out ? size : 0 };

	wire_put8(&w, 0x83);
	put_number(&w, "Version", 1);
	put_text(&w, "TunnelGroup");
	put_text(&w, group);
	if (!authorization) {
		put_nil(&w, "Metadata");
		return w.len;
	}
	put_text(&w, "Metadata");
	wire_put8(&w, 0x81);
	put_text(&w, AUTHORIZATION);
	put_text(&w, authorization);
	return w.len;
}

void
reverst_encode_answer(uint8_t out[REVERST_ANSWER_LEN])
{
	struct wire_writer w = { .p = out, .cap = REVERST_ANSWER_LEN };

	wire_put8(&w, 0x84);
	put_number(&w, "Version", 1);
	put_number(&w, "Code", 0);
	put_nil(&w, "Metadata");
	put_nil(&w, "Body");
	assert(w.len == REVERST_ANSWER_LEN);
}
