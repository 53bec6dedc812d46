#include "vector.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vector_source {
	const char	*path;
	unsigned	 number;
	bool		 in_title;	/* the line before was a title */
};

static void
refuse(const struct vector_source *src, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", src->path, src->number, what);
	abort();
}

static void *
grown(void *array, size_t n, size_t size)
{
	void *p = realloc(array, n * size);

	if (!p)
		abort();
	return p;
}

static char *
copied(const char *text)
{
	char *p = strdup(text);

	if (!p)
		abort();
	return p;
}

static void
add_title(struct vector *v, struct vector_source *src, const char *text)
{
	char **last = v->n_section ? &v->section[v->n_section - 1] : NULL;
	char *joined;

	if (src->in_title && last) {
		if (asprintf(&joined, "%s %s", *last, text) < 0)
			abort();
		free(*last);
		*last = joined;
		return;
	}
	v->section = grown(v->section, v->n_section + 1, sizeof(*v->section));
	v->section[v->n_section++] = copied(text);
}

static struct vector_line *
add_line(struct vector *v, const struct vector_source *src, char dir)
{
	struct vector_line *line;

	v->line = grown(v->line, v->n_line + 1, sizeof(*v->line));
	line = &v->line[v->n_line++];
	*line = (struct vector_line){
		.number = src->number, .section = v->n_section - 1, .dir = dir,
	};
	return line;
}

static void
add_bytes(struct vector *v, const struct vector_source *src, const char *text)
{
	struct vector_line *line = add_line(v, src, *text);
	const char *comment = strstr(text, "  # ");
	const char *end = comment ? comment : text + strlen(text);
	const char *p = text + 2;
	size_t n = 0;

	line->bytes = grown(NULL, strlen(text), 1);
	while (p < end) {
		char *next;
		unsigned long byte = strtoul(p, &next, 16);

		if (*p != ' ' || next != p + 3 || byte > 255)
			refuse(src, "expected bytes as two hex digits each");
		line->bytes[n++] = (uint8_t)byte;
		p = next;
	}
	if (!n)
		refuse(src, "expected at least one byte");
	line->bytes = grown(line->bytes, n, 1);
	line->len = n;
	line->text = copied(comment ? comment + 4 : "");
}

static void
add_note(struct vector *v, const struct vector_source *src, const char *text)
{
	add_line(v, src, *text)->text = copied(text + 2 + strspn(text + 2, " "));
}

static bool
has_direction(const char *text)
{
	return isupper((unsigned char)text[0]) && text[1] == '>';
}

static void
read_line(struct vector *v, struct vector_source *src, const char *text)
{
	bool title = !strncmp(text, "## ", 3);

	if (title)
		add_title(v, src, text + 3);
	else if (has_direction(text))
		add_bytes(v, src, text);
	else if (!strncmp(text, "# ", 2) && has_direction(text + 2) && v->n_line)
		add_note(v, src, text + 2);
	else if (*text && *text != '#')
		refuse(src, "expected a direction, a comment or an empty line");
	src->in_title = title;
}

struct vector *
vector_load(const char *name)
{
	struct vector *v = calloc(1, sizeof(*v));
	char path[4096], *text = NULL;
	struct vector_source src = { .path = path };
	size_t size = 0;
	ssize_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/vectors/%s", TEST_DATA, name);
	f = fopen(path, "r");
	if (!v || !f)
		refuse(&src, "cannot open");
	add_title(v, &src, "");
	for (src.number = 1; (n = getline(&text, &size, f)) >= 0; src.number++) {
		while (n && isspace((unsigned char)text[n - 1]))
			text[--n] = 0;
		read_line(v, &src, text);
	}
	free(text);
	fclose(f);
	if (!v->n_line)
		refuse(&src, "no bytes in it");
	return v;
}

void
vector_free(struct vector *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n_line; i++) {
		free(v->line[i].bytes);
		free(v->line[i].text);
	}
	for (size_t i = 0; i < v->n_section; i++)
		free(v->section[i]);
	free(v->line);
	free(v->section);
	free(v);
}

size_t
vector_section(const struct vector *v, const char *text)
{
	for (size_t i = 0; i < v->n_section; i++)
		if (strstr(v->section[i], text))
			return i;
	fprintf(stderr, "no section \"%s\"\n", text);
	abort();
}

uint8_t *
vector_stream(const struct vector *v, size_t first, size_t last, char dir, size_t *len)
{
	uint8_t *out = grown(NULL, 1, 1);

	*len = 0;
	for (size_t i = 0; i < v->n_line; i++) {
		const struct vector_line *line = &v->line[i];

		if (line->dir != dir || line->section < first || line->section > last || !line->len)
			continue;
		out = grown(out, *len + line->len, 1);
		memcpy(out + *len, line->bytes, line->len);
		*len += line->len;
	}
	return out;
}
