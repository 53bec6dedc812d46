#include "core/http/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_FIELDS 24
#define FIRST_BYTES  1152
#define BLOCK_BYTES  4096
/*
 * Texts that were removed or replaced stay until the end: this bounds what a caller that only
 * replaces can use.
 */
#define ARENA_MAX    (4 * FIELDS_BYTES_MAX)

struct fields_block {
	struct fields_block	*next;
	size_t			 size;
	char			 text[];
};

/*
 * Texts stand in blocks that never move, so that a struct adit_text may point at them; the first
 * block and the first part of the index are in the same allocation. A typical request needs no
 * other.
 */
struct adit_fields {
	struct adit_text	 control[ADIT_CONTROLS];
	int			 status, version;
	struct adit_field	*index;		/* first, or allocated */
	size_t			 n, room;
	size_t			 bytes;		/* of live texts */
	size_t			 arena;		/* of all blocks */
	struct fields_block	*blocks;	/* beyond the first; the newest in front */
	char			*tail, *end;	/* the free part of the newest block */
	size_t			 open;		/* bytes of the open text, at tail */
	struct adit_field	 first[FIRST_FIELDS];
	char			 text[FIRST_BYTES];
};

/* ---- characters ----------------------------------------------------------------- */

enum { TOKEN = 1, TARGET = 2, AUTHORITY = 4, VALUE = 8, SCHEME = 16 };

#define ALNUM (TOKEN | TARGET | AUTHORITY | VALUE | SCHEME)

/*
 * What each byte may be part of. TARGET: a request target has no fragment and nothing outside of
 * ASCII (RFC 3986). AUTHORITY: a host and port as RFC 3986 spells them, without user information
 * (RFC 9110, 4.2.4). VALUE: all but CR, LF and NUL (RFC 9110, 5.5).
 */
static const uint8_t char_class[256] = {
	[1 ... 9] = VALUE, [11 ... 12] = VALUE, [14 ... 32] = VALUE, [127 ... 255] = VALUE,
	['0' ... '9'] = ALNUM, ['A' ... 'Z'] = ALNUM, ['a' ... 'z'] = ALNUM,
	['!'] = TOKEN | TARGET | AUTHORITY | VALUE,
	['"'] = TARGET | VALUE,
	['#'] = TOKEN | VALUE,
	['$'] = TOKEN | TARGET | AUTHORITY | VALUE,
	['%'] = TOKEN | TARGET | AUTHORITY | VALUE,
	['&'] = TOKEN | TARGET | AUTHORITY | VALUE,
	['\''] = TOKEN | TARGET | AUTHORITY | VALUE,
	['('] = TARGET | AUTHORITY | VALUE,
	[')'] = TARGET | AUTHORITY | VALUE,
	['*'] = TOKEN | TARGET | AUTHORITY | VALUE,
	['+'] = TOKEN | TARGET | AUTHORITY | VALUE | SCHEME,
	[','] = TARGET | AUTHORITY | VALUE,
	['-'] = TOKEN | TARGET | AUTHORITY | VALUE | SCHEME,
	['.'] = TOKEN | TARGET | AUTHORITY | VALUE | SCHEME,
	['/'] = TARGET | VALUE,
	[':'] = TARGET | AUTHORITY | VALUE,
	[';'] = TARGET | AUTHORITY | VALUE,
	['<'] = TARGET | VALUE,
	['='] = TARGET | AUTHORITY | VALUE,
	['>'] = TARGET | VALUE,
	['?'] = TARGET | VALUE,
	['@'] = TARGET | VALUE,
	['['] = TARGET | AUTHORITY | VALUE,
	['\\'] = TARGET | VALUE,
	[']'] = TARGET | AUTHORITY | VALUE,
	['^'] = TOKEN | TARGET | VALUE,
	['_'] = TOKEN | TARGET | AUTHORITY | VALUE,
	['`'] = TOKEN | TARGET | VALUE,
	['{'] = TARGET | VALUE,
	['|'] = TOKEN | TARGET | VALUE,
	['}'] = TARGET | VALUE,
	['~'] = TOKEN | TARGET | AUTHORITY | VALUE,
};

static bool
all_of(const char *s, size_t len, uint8_t class)
{
	uint8_t common = class;

	for (size_t i = 0; i < len; i++)
		common &= char_class[(uint8_t)s[i]];
	return common != 0;
}

bool
http_is_token(const char *s, size_t len)
{
	return len > 0 && all_of(s, len, TOKEN);
}

bool
http_read_length(struct adit_text t, uint64_t *length)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t.len; i++) {
		if (t.s[i] < '0' || t.s[i] > '9' || n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(t.s[i] - '0');
	}
	*length = n;
	return t.len > 0;
}

bool
http_is_authority(struct adit_text t, bool port_needed)
{
	const char *host_end = memchr(t.s, ':', t.len), *end = t.s + t.len;
	uint64_t port;

	if (t.len && t.s[0] == '[') {
		host_end = memchr(t.s, ']', t.len);
		if (!host_end || host_end == t.s + 1)
			return false;
		host_end++;
		if (memchr(t.s + 1, '[', (size_t)(end - t.s) - 1))
			return false;
	} else if (memchr(t.s, '[', t.len) || memchr(t.s, ']', t.len)) {
		return false;
	}
	if (!host_end)
		host_end = end;
	if (host_end == t.s)
		return false;
	if (host_end == end)
		return !port_needed;
	if (*host_end != ':')
		return false;
	if (host_end + 1 == end)
		return !port_needed;	/* "host:" is in the grammar */
	return http_read_length((struct adit_text){ host_end + 1, (size_t)(end - host_end) - 1 },
			      &port) &&
	       port <= UINT16_MAX;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool
http_text_equal(struct adit_text a, const char *b, size_t len)
{
	if (a.len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (a.s[i] != b[i] && lower(a.s[i]) != lower(b[i]))
			return false;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct adit_text
trimmed(struct adit_text t)
{
	while (t.len && is_blank(t.s[0])) {
		t.s++;
		t.len--;
	}
	while (t.len && is_blank(t.s[t.len - 1]))
		t.len--;
	return t;
}

/* The length of the list's first element, with the blanks around it. */
static size_t
element_len(struct adit_text list, char separator)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < list.len && (quoted || list.s[i] != separator); i++) {
		if (list.s[i] == '"')
			quoted = !quoted;
		else if (quoted && list.s[i] == '\\' && i + 1 < list.len)
			i++;
	}
	return i;
}

bool
http_parts_next(struct adit_text *list, char separator, struct adit_text *element)
{
	while (list->len) {
		size_t n = element_len(*list, separator), step = n < list->len ? n + 1 : n;

		*element = trimmed((struct adit_text){ list->s, n });
		list->s += step;
		list->len -= step;
		if (element->len)
			return true;
	}
	return false;
}

bool
http_list_next(struct adit_text *list, struct adit_text *element)
{
	return http_parts_next(list, ',', element);
}

/* ---- memory ----------------------------------------------------------------------- */

static void
fields_init(struct adit_fields *f)
{
	memset(f->control, 0, sizeof(f->control));
	f->status = f->version = 0;
	f->index = f->first;
	f->n = 0;
	f->room = FIRST_FIELDS;
	f->bytes = 0;
	f->arena = sizeof(f->text);
	f->blocks = NULL;
	f->tail = f->text;
	f->end = f->text + sizeof(f->text);
	f->open = 0;
}

struct adit_fields *
adit_fields_new(void)
{
	struct adit_fields *f = malloc(sizeof(*f));

	if (f)
		fields_init(f);
	return f;
}

static void
fields_drop(struct adit_fields *f)
{
	while (f->blocks) {
		struct fields_block *b = f->blocks;

		f->blocks = b->next;
		free(b);
	}
	if (f->index != f->first)
		free(f->index);
}

void
adit_fields_free(struct adit_fields *f)
{
	if (!f)
		return;
	fields_drop(f);
	free(f);
}

/* Makes room for len bytes and a terminator behind the open text, which may move to a new block. */
static int
fields_make_room(struct adit_fields *f, size_t len)
{
	struct fields_block *b;
	size_t size = BLOCK_BYTES;

	if (len < (size_t)(f->end - f->tail) - f->open)
		return 0;
	/*
	 * Twice the open text, so that one that comes byte by byte is copied a bounded number of
	 * times.
	 */
	while (size < 2 * f->open + len + 1)
		size *= 2;
	if (f->arena + size > ARENA_MAX)
		return -E2BIG;
	b = malloc(sizeof(*b) + size);
	if (!b)
		return -ENOMEM;
	b->size = size;
	b->next = f->blocks;
	f->blocks = b;
	f->arena += size;
	memcpy(b->text, f->tail, f->open);
	f->tail = b->text;
	f->end = b->text + size;
	return 0;
}

static int
fields_extend(struct adit_fields *f, const char *s, size_t len)
{
	int err = fields_make_room(f, len);

	if (err < 0)
		return err;
	memcpy(f->tail + f->open, s, len);
	f->open += len;
	return 0;
}

int
fields_append(struct adit_fields *f, const char *s, size_t len)
{
	if (f->bytes + f->open + len > FIELDS_BYTES_MAX)
		return -E2BIG;
	return fields_extend(f, s, len);
}

int
fields_finish(struct adit_fields *f, struct adit_text *out)
{
	int err = fields_make_room(f, 0);

	if (err < 0)
		return err;
	*out = (struct adit_text){ f->tail, f->open };
	f->tail[f->open] = 0;
	f->tail += f->open + 1;
	f->open = 0;
	return 0;
}

int
fields_finish_value(struct adit_fields *f, struct adit_text *out)
{
	struct adit_text value = trimmed((struct adit_text){ f->tail, f->open });

	f->tail += value.s - f->tail;
	f->open = value.len;
	return fields_finish(f, out);
}

/*
 * Copies s into f; whether it fits the limit is for the caller to know, who may be about to drop
 * another.
 */
static int
fields_store(struct adit_fields *f, struct adit_text s, struct adit_text *out)
{
	int err = fields_extend(f, s.s, s.len);

	return err < 0 ? err : fields_finish(f, out);
}

static int
fields_grow_index(struct adit_fields *f)
{
	size_t room = f->room * 2;
	struct adit_field *index = malloc(room * sizeof(*index));

	if (!index)
		return -ENOMEM;
	memcpy(index, f->index, f->n * sizeof(*index));
	if (f->index != f->first)
		free(f->index);
	f->index = index;
	f->room = room;
	return 0;
}

/* ---- control data ------------------------------------------------------------------ */

static bool
control_is_valid(enum adit_control which, struct adit_text t)
{
	switch (which) {
	case ADIT_METHOD:
		return http_is_token(t.s, t.len);
	case ADIT_TARGET:
		return t.len && all_of(t.s, t.len, TARGET);
	case ADIT_AUTHORITY:
		return t.len && all_of(t.s, t.len, AUTHORITY);
	case ADIT_SCHEME:
		return t.len && all_of(t.s, t.len, SCHEME) && lower(t.s[0]) >= 'a';
	case ADIT_PROTOCOL:
		/* "HTTP/2.0" is the form RFC 9110, 7.8 gives: a name, a slash, a version. */
		return t.len && t.s[0] != '/' && all_of(t.s, t.len, TARGET);
	case ADIT_REASON:
		return all_of(t.s, t.len, VALUE);
	case ADIT_CONTROLS:
		break;
	}
	return false;
}

int
fields_control(struct adit_fields *f, enum adit_control which, struct adit_text text)
{
	struct adit_text *at = &f->control[which];

	if (!control_is_valid(which, text))
		return -EINVAL;
	if (f->bytes - at->len + text.len > FIELDS_BYTES_MAX)
		return -E2BIG;
	f->bytes += text.len - at->len;
	*at = text;
	return 0;
}

int
adit_fields_set_control(struct adit_fields *f, enum adit_control which, const char *s, size_t len)
{
	struct adit_text text = { s, len };
	int err;

	if (!s) {
		f->bytes -= f->control[which].len;
		f->control[which] = (struct adit_text){ NULL, 0 };
		return 0;
	}
	if (!control_is_valid(which, text))
		return -EINVAL;
	if (len > FIELDS_BYTES_MAX)
		return -E2BIG;
	err = fields_store(f, text, &text);
	return err < 0 ? err : fields_control(f, which, text);
}

struct adit_text
adit_fields_control(const struct adit_fields *f, enum adit_control which)
{
	return f->control[which];
}

void
adit_fields_set_status(struct adit_fields *f, int status)
{
	f->status = status;
}

int
adit_fields_status(const struct adit_fields *f)
{
	return f->status;
}

void
adit_fields_set_version(struct adit_fields *f, int version)
{
	f->version = version;
}

int
adit_fields_version(const struct adit_fields *f)
{
	return f->version;
}

/* ---- fields -------------------------------------------------------------------------- */

static bool
field_is_valid(struct adit_text name, struct adit_text value)
{
	return http_is_token(name.s, name.len) && all_of(value.s, value.len, VALUE);
}

/* ": " and CRLF, as HTTP/1 has it; so that many empty fields count too. */
static size_t
field_bytes(const struct adit_field *field)
{
	return field->name.len + field->value.len + 4;
}

int
fields_push(struct adit_fields *f, struct adit_text name, struct adit_text value)
{
	struct adit_field field = { name, value };
	int err;

	if (!field_is_valid(field.name, field.value))
		return -EINVAL;
	if (f->n == FIELDS_MAX || f->bytes + field_bytes(&field) > FIELDS_BYTES_MAX)
		return -E2BIG;
	err = f->n < f->room ? 0 : fields_grow_index(f);
	if (err < 0)
		return err;
	f->index[f->n++] = field;
	f->bytes += field_bytes(&field);
	return 0;
}

int
adit_fields_add(struct adit_fields *f, struct adit_text name, struct adit_text value)
{
	int err;

	value = trimmed(value);
	if (!field_is_valid(name, value))
		return -EINVAL;
	if (name.len + value.len > FIELDS_BYTES_MAX)
		return -E2BIG;
	err = fields_store(f, name, &name);
	if (err == 0)
		err = fields_store(f, value, &value);
	return err < 0 ? err : fields_push(f, name, value);
}

/* The first field of that name at or after from, or f->n. */
static size_t
fields_find(const struct adit_fields *f, const char *name, size_t len, size_t from)
{
	while (from < f->n && !http_text_equal(f->index[from].name, name, len))
		from++;
	return from;
}

/* Removes all of that name at or after from. */
static unsigned
fields_remove_from(struct adit_fields *f, struct adit_text name, size_t from)
{
	size_t kept = fields_find(f, name.s, name.len, from);
	unsigned removed;

	for (size_t i = kept; i < f->n; i++) {
		if (http_text_equal(f->index[i].name, name.s, name.len))
			f->bytes -= field_bytes(&f->index[i]);
		else
			f->index[kept++] = f->index[i];
	}
	removed = (unsigned)(f->n - kept);
	f->n = kept;
	return removed;
}

unsigned
fields_remove(struct adit_fields *f, struct adit_text name)
{
	return fields_remove_from(f, name, 0);
}

unsigned
adit_fields_remove(struct adit_fields *f, const char *name)
{
	return fields_remove(f, (struct adit_text){ name, strlen(name) });
}

int
adit_fields_set(struct adit_fields *f, const char *name, const char *value)
{
	struct adit_text v = trimmed((struct adit_text){ value, strlen(value) });
	size_t len = strlen(name), i = fields_find(f, name, len, 0);
	struct adit_text *at;
	int err;

	if (i == f->n)
		return adit_fields_add(f, (struct adit_text){ name, len }, v);
	at = &f->index[i].value;
	if (!all_of(v.s, v.len, VALUE))
		return -EINVAL;
	if (f->bytes - at->len + v.len > FIELDS_BYTES_MAX)
		return -E2BIG;
	err = fields_store(f, v, &v);
	if (err < 0)
		return err;
	f->bytes += v.len - at->len;
	*at = v;
	fields_remove_from(f, (struct adit_text){ name, len }, i + 1);
	return 0;
}

/* Appends the value of that field and of all behind it with its name to the open text. */
static int
append_values(struct adit_fields *f, size_t from, const char *separator)
{
	struct adit_text name = f->index[from].name;
	int err = 0;

	for (size_t i = from; i < f->n && err == 0; i = fields_find(f, name.s, name.len, i + 1)) {
		struct adit_text value = f->index[i].value;

		if (value.len && f->open)
			err = fields_extend(f, separator, strlen(separator));
		if (err == 0)
			err = fields_extend(f, value.s, value.len);
	}
	return err;
}

int
fields_join(struct adit_fields *f, const char *name, const char *separator)
{
	size_t len = strlen(name), first = fields_find(f, name, len, 0);
	struct adit_text joined;
	int err;

	if (first == f->n || fields_find(f, name, len, first + 1) == f->n)
		return 0;
	err = append_values(f, first, separator);
	if (err == 0)
		err = fields_finish(f, &joined);
	if (err < 0)
		return err;
	fields_remove_from(f, (struct adit_text){ name, len }, first + 1);
	f->bytes += joined.len - f->index[first].value.len;
	f->index[first].value = joined;
	return 0;
}

struct adit_text
adit_fields_get(const struct adit_fields *f, const char *name)
{
	size_t i = fields_find(f, name, strlen(name), 0);

	return i < f->n ? f->index[i].value : (struct adit_text){ NULL, 0 };
}

bool
adit_fields_has(const struct adit_fields *f, const char *name, const char *word)
{
	size_t len = strlen(name), word_len = strlen(word);

	for (size_t i = 0; i < f->n; i++) {
		struct adit_text list = f->index[i].value, element;

		if (!http_text_equal(f->index[i].name, name, len))
			continue;
		while (http_list_next(&list, &element))
			if (http_text_equal(element, word, word_len))
				return true;
	}
	return false;
}

size_t
adit_fields_count(const struct adit_fields *f)
{
	return f->n;
}

const struct adit_field *
adit_fields_at(const struct adit_fields *f, size_t i)
{
	return i < f->n ? &f->index[i] : NULL;
}

size_t
fields_bytes(const struct adit_fields *f)
{
	return f->bytes;
}

struct adit_fields *
adit_fields_copy(const struct adit_fields *f)
{
	struct adit_fields *copy = adit_fields_new();
	int err = copy ? 0 : -ENOMEM;

	for (int i = 0; i < ADIT_CONTROLS && err == 0; i++)
		if (f->control[i].s)
			err = adit_fields_set_control(copy, (enum adit_control)i, f->control[i].s,
						      f->control[i].len);
	for (size_t i = 0; i < f->n && err == 0; i++)
		err = adit_fields_add(copy, f->index[i].name, f->index[i].value);
	if (err < 0) {
		adit_fields_free(copy);
		return NULL;
	}
	copy->status = f->status;
	copy->version = f->version;
	return copy;
}
