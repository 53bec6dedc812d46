#include "core/policy/host_map.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy/listing.h"

#define NAME_SIZE 255		/* a leading dot, 253 bytes, the end */
#define BLANK	  " \t\r"

struct mapping {
	char			*name;		/* owned; lower case, without a dot at the end */
	size_t			 order;		/* when it was added */
	struct adit_addr	 addr;
};

struct host_map {
	struct mapping	*v;			/* sealed: by name, then by order */
	size_t		 n, room;
};

struct host_map *
host_map_new(void)
{
	return calloc(1, sizeof(struct host_map));
}

void
host_map_free(struct host_map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].name);
	free(m->v);
	free(m);
}

size_t
host_map_count(const struct host_map *m)
{
	return m->n;
}

/* ---- building --------------------------------------------------------------------------- */

/* As names are compared. 0 or -EINVAL. */
static int
normalise(const char *name, char out[NAME_SIZE])
{
	size_t len = strlen(name);

	if (len > 1 && name[len - 1] == '.')
		len--;
	if (!len || len >= NAME_SIZE)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || strchr("*?/:", name[i]))
			return -EINVAL;
		out[i] = (char)tolower((unsigned char)name[i]);
	}
	out[len] = 0;
	return 0;
}

static int
reserve(struct host_map *m)
{
	size_t room = m->room ? m->room * 2 : 16;
	struct mapping *v;

	if (m->n < m->room)
		return 0;
	v = realloc(m->v, room * sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->v = v;
	m->room = room;
	return 0;
}

int
host_map_add(struct host_map *m, const char *ip, const char *name, struct adit_err *e)
{
	struct mapping one = { .order = m->n };
	char text[NAME_SIZE];

	if (adit_addr_parse(ip, 0, &one.addr) < 0)
		return adit_err_set(e, -EINVAL, "not an address: \"%.60s\"", ip);
	if (normalise(name, text) < 0)
		return adit_err_set(e, -EINVAL, "not a host name: \"%.100s\"", name);
	if (m->n == HOST_MAP_MAX)
		return adit_err_set(e, -EINVAL, "more than %d names", HOST_MAP_MAX);
	one.name = strdup(text);
	if (!one.name || reserve(m) < 0) {
		free(one.name);
		return adit_err_set(e, -ENOMEM, "out of memory");
	}
	m->v[m->n++] = one;
	return 0;
}

/* 0 or -ENOMEM. */
static int
add_line(void *arg, char *line, struct adit_err *e)
{
	struct host_map *m = arg;
	char *save = NULL, *ip = strtok_r(line, BLANK, &save), *name;
	int err = 0;

	while (ip && err != -ENOMEM && (name = strtok_r(NULL, BLANK, &save))) {
		struct adit_err one = ADIT_ERR_INIT;

		err = host_map_add(m, ip, name, &one);
		if (err == -ENOMEM)
			*e = one;
	}
	return err == -ENOMEM ? err : 0;
}

int
host_map_add_text(struct host_map *m, const char *text, struct adit_err *e)
{
	return listing_lines(text, add_line, m, e);
}

static int
compare(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

void
host_map_seal(struct host_map *m)
{
	if (m->n)
		qsort(m->v, m->n, sizeof(*m->v), compare);
}

/* ---- asking ------------------------------------------------------------------------------ */

static size_t
find(const struct host_map *m, const char *name, struct adit_addr *out, size_t max)
{
	size_t low = 0, high = m->n, found = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(m->v[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < m->n && found < max && strcmp(m->v[low].name, name) == 0; low++)
		out[found++] = m->v[low].addr;
	return found;
}

size_t
host_map_find(const struct host_map *m, const char *host, struct adit_addr *out, size_t max)
{
	char dotted[NAME_SIZE + 1] = ".";
	size_t n;

	if (!m->n || *host == '.' || normalise(host, dotted + 1) < 0)
		return 0;
	n = find(m, dotted + 1, out, max);
	for (const char *at = dotted; at && !n; at = strchr(at + 1, '.'))
		n = find(m, at, out, max);
	return n ? n : find(m, ".", out, max);
}
