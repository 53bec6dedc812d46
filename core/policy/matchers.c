#include "core/policy/matchers.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/runtime/addr_range.h"

#define TEXT_MAX 255

/* What an entry compares with a host: where it is looked for. */
enum match_kind {
	MATCH_NAME,	/* all of it; with a leading dot: its end, or what is below */
	MATCH_TAIL,	/* a pattern, by the text behind its last wildcard */
	MATCH_HEAD,	/* a pattern, by the text before its first one */
	MATCH_OPEN,	/* a pattern that has neither */
	MATCH_KINDS,
};

struct entry {
	enum match_kind	 kind;
	uint16_t	 low, high;	/* ports; 0, 65535: any, known or not */
	uint8_t		 key_at, key_len;	/* the part of text that it is looked up by */
	char		*text;		/* owned; lower case */
};

/* Addresses from first to last, of one family. */
struct span {
	uint8_t	family6;
	uint8_t	first[16], last[16];
};

struct matchers {
	struct entry	*entries;	/* sealed: in the order of compare_entries */
	size_t		 n, room;
	struct span	*spans;		/* sealed: in order, none touches the next */
	size_t		 n_spans, room_spans;
	size_t		 added;
	size_t		 open;
	size_t		 begin[MATCH_KINDS + 1];	/* sealed: of each kind, in entries */
	uint64_t	 lengths[MATCH_KINDS][4];	/* which key lengths there are */
};

/* ---- building --------------------------------------------------------------------------- */

struct matchers *
matchers_new(void)
{
	return calloc(1, sizeof(struct matchers));
}

void
matchers_free(struct matchers *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i].text);
	free(m->entries);
	free(m->spans);
	free(m);
}

size_t
matchers_count(const struct matchers *m)
{
	return m->added;
}

/* Room for one more of size bytes; the array, or NULL. */
static void *
grown(void *v, size_t n, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 16;
	void *bigger;

	if (n < *room)
		return v;
	bigger = realloc(v, more * size);
	if (bigger)
		*room = more;
	return bigger;
}

static int
add_span(struct matchers *m, const struct span *s)
{
	struct span *v = grown(m->spans, m->n_spans, &m->room_spans, sizeof(*v));

	if (!v)
		return -ENOMEM;
	m->spans = v;
	v[m->n_spans++] = *s;
	return 0;
}

static int
add_range(struct matchers *m, const struct addr_range *r)
{
	struct span s = { .family6 = r->first.family == AF_INET6 };
	size_t len = s.family6 ? 16 : 4;

	memcpy(s.first, r->first.ip, len);
	memcpy(s.last, r->first.ip, len);
	for (unsigned bit = r->bits; bit < len * 8; bit++) {
		s.first[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
		s.last[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	}
	return add_span(m, &s);
}

/* As dialers would take it: "127.1" and "0x7f000001" are 127.0.0.1 to the C library. */
static bool
host_addr(const char *host, struct adit_addr *out)
{
	struct in_addr in;

	if (adit_addr_parse(host, 0, out) == 0)
		return true;
	if (!isdigit((unsigned char)*host) || strpbrk(host, " \t") || !inet_aton(host, &in))
		return false;
	*out = (struct adit_addr){ .family = AF_INET };
	memcpy(out->ip, &in, 4);
	return true;
}

/* "a-b", both addresses of one family: 1; 0: it is no such thing; -EINVAL: it leads backwards. */
static int
read_span(const char *text, struct span *out)
{
	const char *dash = strchr(text, '-');
	struct adit_addr a, b;
	char first[ADIT_ADDR_TEXT];
	size_t len;

	if (!dash || (size_t)(dash - text) >= sizeof(first))
		return 0;
	memcpy(first, text, (size_t)(dash - text));
	first[dash - text] = 0;
	if (adit_addr_parse(first, 0, &a) < 0 || adit_addr_parse(dash + 1, 0, &b) < 0)
		return 0;
	if (a.family != b.family)
		return -EINVAL;
	*out = (struct span){ .family6 = a.family == AF_INET6 };
	len = out->family6 ? 16 : 4;
	memcpy(out->first, a.ip, len);
	memcpy(out->last, b.ip, len);
	return memcmp(a.ip, b.ip, len) > 0 ? -EINVAL : 1;
}

/* ---- names and patterns ------------------------------------------------------------------ */

/* "80" or "80-90", from 1 up. */
static int
read_ports(const char *text, struct entry *out)
{
	unsigned long low, high;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	low = high = strtoul(text, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		high = strtoul(end + 1, &end, 10);
	if (*end || !low || low > high || high > 65535)
		return -EINVAL;
	out->low = (uint16_t)low;
	out->high = (uint16_t)high;
	return 0;
}

/* Splits off ":ports" and brackets: text is the host, terminated and in lower case. */
static int
read_host(char *text, struct entry *out, char **host)
{
	char *end = *text == '[' ? strchr(text, ']') : NULL;
	char *colon = strrchr(end ? end : text, ':');
	struct adit_addr a;

	*host = text;
	out->high = 65535;
	if (*text == '[' && (!end || (end[1] && end[1] != ':')))
		return -EINVAL;
	if (!end && colon && strchr(text, ':') != colon)
		return adit_addr_parse(text, 0, &a);	/* IPv6 alone */
	if (colon) {
		*colon = 0;
		if (read_ports(colon + 1, out) < 0)
			return -EINVAL;
	}
	if (end) {
		*end = 0;
		(*host)++;
	}
	return 0;
}

static int
add_entry(struct matchers *m, const struct entry *e, const char *text)
{
	struct entry *v = grown(m->entries, m->n, &m->room, sizeof(*v));

	if (!v)
		return -ENOMEM;
	m->entries = v;
	v[m->n] = *e;
	v[m->n].text = strdup(text);
	if (!v[m->n].text)
		return -ENOMEM;
	m->n++;
	return 0;
}

static void
lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static int
add_pattern(struct matchers *m, struct entry *e, const char *host)
{
	size_t len = strlen(host), head = strcspn(host, "*?"), tail = len;

	while (tail && host[tail - 1] != '*' && host[tail - 1] != '?')
		tail--;
	e->kind = MATCH_OPEN;
	if (head || tail < len)
		e->kind = head > len - tail ? MATCH_HEAD : MATCH_TAIL;
	else if (m->open++ == MATCHERS_OPEN_MAX)
		return -ERANGE;
	if (e->kind == MATCH_TAIL)
		e->key_at = (uint8_t)tail;
	if (e->kind != MATCH_OPEN)
		e->key_len = (uint8_t)(e->kind == MATCH_TAIL ? len - tail : head);
	return add_entry(m, e, host);
}

static bool
is_host_text(const char *host)
{
	for (; *host; host++)
		if ((unsigned char)*host <= ' ' || *host == 0x7f || strchr("/@#,[]{}\\", *host))
			return false;
	return true;
}

/* A name, or an address with ports; both are compared as text. */
static int
add_name(struct matchers *m, struct entry *e, char *host)
{
	struct adit_addr a;
	char text[ADIT_ADDR_TEXT];
	size_t len = strlen(host);

	if (len > 1 && host[len - 1] == '.')
		host[--len] = 0;
	if (!len || (len == 1 && *host == '.') || !is_host_text(host))
		return -EINVAL;
	if (strpbrk(host, "*?"))
		return add_pattern(m, e, host);
	e->kind = MATCH_NAME;
	if (!host_addr(host, &a)) {
		e->key_len = (uint8_t)len;
		return add_entry(m, e, host);
	}
	if (!e->low)
		return add_range(m, &(struct addr_range){
			.first = a, .bits = a.family == AF_INET6 ? 128 : 32,
		});
	adit_addr_format_ip(&a, text);
	e->key_len = (uint8_t)strlen(text);
	return add_entry(m, e, text);
}

static int
add_text(struct matchers *m, const char *text)
{
	struct addr_range range;
	struct entry entry = { .kind = MATCH_NAME };
	char copy[TEXT_MAX + 1], *host;
	struct span span;
	int found;

	if (strlen(text) > TEXT_MAX)
		return -EINVAL;
	if (strchr(text, '/'))
		return addr_range_parse(text, &range) < 0 ? -EINVAL : add_range(m, &range);
	found = read_span(text, &span);
	if (found)
		return found < 0 ? found : add_span(m, &span);
	strcpy(copy, text);
	lower(copy);
	if (read_host(copy, &entry, &host) < 0)
		return -EINVAL;
	return add_name(m, &entry, host);
}

static int
added(struct matchers *m, int err, struct adit_err *e)
{
	if (err == -ENOMEM)
		return adit_err_set(e, err, "out of memory");
	if (err == -ERANGE)
		return adit_err_set(e, -EINVAL, "more than %d patterns that begin and end with a "
				    "wildcard", MATCHERS_OPEN_MAX);
	if (err)
		return adit_err_set(e, -EINVAL, "not an address, a range, a host or a pattern");
	m->added++;
	return 0;
}

static int
check_room(const struct matchers *m, struct adit_err *e)
{
	if (m->added < MATCHERS_MAX)
		return 0;
	return adit_err_set(e, -EINVAL, "more than %d matchers", MATCHERS_MAX);
}

int
matchers_add(struct matchers *m, const char *text, struct adit_err *e)
{
	int err = check_room(m, e);

	return err ? err : added(m, add_text(m, text), e);
}

static int
add_looked_up(struct matchers *m, const char *name, struct adit_err *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int err = getaddrinfo(name, NULL, &hints, &list), failed = 0;

	if (err)
		return adit_err_set(e, ADIT_ENOHOST,
				    "not an address, and there is none for the name");
	for (const struct addrinfo *ai = list; ai && !failed; ai = ai->ai_next) {
		struct adit_addr a = adit_addr_from(ai->ai_addr, ai->ai_addrlen);

		failed = add_range(m, &(struct addr_range){
			.first = a, .bits = a.family == AF_INET6 ? 128 : 32,
		});
	}
	freeaddrinfo(list);
	return added(m, failed, e);
}

int
matchers_add_address(struct matchers *m, const char *text, struct adit_err *e)
{
	struct addr_range range;
	struct span span;
	int err = check_room(m, e), found;

	if (err)
		return err;
	if (addr_range_parse(text, &range) == 0)
		return added(m, add_range(m, &range), e);
	found = read_span(text, &span);
	if (found)
		return added(m, found < 0 ? found : add_span(m, &span), e);
	if (!*text || strlen(text) > TEXT_MAX || !is_host_text(text) || strpbrk(text, ":*?"))
		return added(m, -EINVAL, e);
	return add_looked_up(m, text, e);
}

/* ---- sealing ------------------------------------------------------------------------------- */

static int
compare_key(const struct entry *e, const char *key, size_t len)
{
	size_t shorter = e->key_len < len ? e->key_len : len;
	int order = memcmp(e->text + e->key_at, key, shorter);

	return order ? order : (int)e->key_len - (int)len;
}

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return compare_key(x, y->text + y->key_at, y->key_len);
}

static int
compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->family6 != y->family6)
		return x->family6 - y->family6;
	return memcmp(x->first, y->first, sizeof(x->first));
}

/* In order, and those that overlap made one. */
static void
merge_spans(struct matchers *m)
{
	size_t n = 0;

	if (m->n_spans)
		qsort(m->spans, m->n_spans, sizeof(*m->spans), compare_spans);
	for (size_t i = 0; i < m->n_spans; i++) {
		const struct span *s = &m->spans[i];
		struct span *last = n ? &m->spans[n - 1] : NULL;

		if (!last || last->family6 != s->family6 ||
		    memcmp(s->first, last->last, sizeof(s->first)) > 0)
			m->spans[n++] = *s;
		else if (memcmp(s->last, last->last, sizeof(s->last)) > 0)
			memcpy(last->last, s->last, sizeof(s->last));
	}
	m->n_spans = n;
}

void
matchers_seal(struct matchers *m)
{
	size_t i = 0;

	merge_spans(m);
	if (m->n)
		qsort(m->entries, m->n, sizeof(*m->entries), compare_entries);
	for (int kind = 0; kind < MATCH_KINDS; kind++) {
		m->begin[kind] = i;
		for (; i < m->n && m->entries[i].kind == (enum match_kind)kind; i++)
			m->lengths[kind][m->entries[i].key_len / 64] |=
				UINT64_C(1) << m->entries[i].key_len % 64;
	}
	m->begin[MATCH_KINDS] = i;
}

/* ---- asking -------------------------------------------------------------------------------- */

static bool
has_span(const struct matchers *m, const struct adit_addr *a)
{
	struct span at = { .family6 = a->family == AF_INET6 };
	size_t low = 0, high = m->n_spans;

	memcpy(at.first, a->ip, at.family6 ? 16 : 4);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_spans(&m->spans[mid], &at) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low && m->spans[low - 1].family6 == at.family6 &&
	       memcmp(at.first, m->spans[low - 1].last, sizeof(at.first)) <= 0;
}

/* "*": back to the last one where the text goes on otherwise. */
static bool
pattern_matches(const char *p, const char *text)
{
	const char *star = NULL, *back = NULL;

	while (*text) {
		if (*p == '*') {
			star = ++p;
			back = text;
		} else if (*p == '?' || *p == *text) {
			p++;
			text++;
		} else if (star) {
			p = star;
			text = ++back;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return !*p;
}

static bool
entry_matches(const struct entry *e, const char *host, uint16_t port)
{
	if (e->low && (port < e->low || port > e->high))
		return false;
	return e->kind == MATCH_NAME || pattern_matches(e->text, host);
}

/* Any of that kind and key that matches. */
static bool
has_key(const struct matchers *m, enum match_kind kind, const char *key, size_t len,
	const char *host, uint16_t port)
{
	size_t low = m->begin[kind], high = m->begin[kind + 1];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_key(&m->entries[mid], key, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < m->begin[kind + 1] && compare_key(&m->entries[low], key, len) == 0; low++)
		if (entry_matches(&m->entries[low], host, port))
			return true;
	return false;
}

/* text has a dot in front: the host itself, itself and below, below each of its parents. */
static bool
has_name(const struct matchers *m, const char *dotted, uint16_t port)
{
	const char *host = dotted + 1;

	if (m->begin[MATCH_NAME] == m->begin[MATCH_NAME + 1])
		return false;
	if (has_key(m, MATCH_NAME, host, strlen(host), host, port))
		return true;
	for (const char *at = dotted; at; at = strchr(at + 1, '.'))
		if (has_key(m, MATCH_NAME, at, strlen(at), host, port))
			return true;
	return false;
}

static bool
has_pattern(const struct matchers *m, enum match_kind kind, const char *host, uint16_t port)
{
	size_t len = strlen(host);

	for (size_t n = 0; n <= len; n++) {
		const char *key = kind == MATCH_TAIL ? host + len - n : host;

		if (m->lengths[kind][n / 64] >> n % 64 & 1 &&
		    has_key(m, kind, key, n, host, port))
			return true;
	}
	return false;
}

static bool
has_text(const struct matchers *m, const char *dotted, uint16_t port)
{
	return has_name(m, dotted, port) || has_pattern(m, MATCH_TAIL, dotted + 1, port) ||
	       has_pattern(m, MATCH_HEAD, dotted + 1, port) ||
	       has_pattern(m, MATCH_OPEN, dotted + 1, port);
}

bool
matchers_match(const struct matchers *m, const char *host, uint16_t port)
{
	char text[TEXT_MAX + 2] = ".";
	struct adit_addr a;
	size_t len = strlen(host);

	if (len && *host == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len > 1 && host[len - 1] == '.')
		len--;
	if (!len || len > TEXT_MAX)
		return false;
	memcpy(text + 1, host, len);
	text[1 + len] = 0;
	lower(text);
	if (host_addr(text + 1, &a)) {
		if (has_span(m, &a))
			return true;
		adit_addr_format_ip(&a, text + 1);
	}
	return has_text(m, text, port);
}

bool
matchers_match_addr(const struct matchers *m, const struct adit_addr *a)
{
	return (a->family == AF_INET || a->family == AF_INET6) && has_span(m, a);
}
