#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/errors.h"
#include "core/config/mask.h"

enum {
	MAX_KEPT = 100,
	MAX_LINE = 120,		/* characters of a quoted line */
	BEFORE = 80,		/* of these before the caret, when the line is longer */
};

struct finding {
	char		*text;
	unsigned	 source, line, column;	/* the sorting order */
};

struct config_errors {
	struct finding	 kept[MAX_KEPT];
	const struct tree_source *sources[MAX_KEPT];	/* in the order of their first finding;
							 * compared, never looked into */
	size_t		 n_kept, n_sources;
	size_t		 left_out;
	size_t		 n, hard;
};

struct config_errors *
config_errors_new(void)
{
	return calloc(1, sizeof(struct config_errors));
}

void
config_errors_free(struct config_errors *errs)
{
	if (!errs)
		return;
	for (size_t i = 0; i < errs->n_kept; i++)
		free(errs->kept[i].text);
	free(errs);
}

/* Writes "services[0].handler" to buf, cut at len. */
static void
tree_path_format(const struct tree_path *path, char *buf, size_t len)
{
	size_t used;

	if (!len)
		return;
	buf[0] = 0;
	if (!path)
		return;
	tree_path_format(path->up, buf, len);
	used = strlen(buf);
	if (path->key)
		snprintf(buf + used, len - used, "%s%s", used ? "." : "", path->key);
	else
		snprintf(buf + used, len - used, "[%zu]", path->index);
}

/* ---- rendering ------------------------------------------------------------ */

/* What stands in a file is shown on a terminal: nothing of it may steer that. */
static void
print_clean(FILE *f, const char *text)
{
	for (; *text; text++)
		fputc(iscntrl((unsigned char)*text) ? '?' : *text, f);
}

static void
print_argument(FILE *f, const struct tree_source *source)
{
	char *masked = config_mask_url(source->text, source->len);

	fprintf(f, "%s \"", source->name);
	if (masked)
		print_clean(f, masked);
	fputc('"', f);
	free(masked);
}

static void
print_position(FILE *f, const struct tree_pos *pos)
{
	if (!pos->source->argument) {
		fprintf(f, "%s:%u:%u", pos->source->name, pos->line, pos->column);
		return;
	}
	print_argument(f, pos->source);
	fprintf(f, ":%u", pos->column);
}

/* Of an argument the column says it all. */
static bool
path_is_shown(const struct tree_pos *pos, const struct tree_path *path)
{
	return path && !(pos->source && pos->source->argument);
}

char *
config_where(struct tree_pos pos, const struct tree_path *path)
{
	char *text = NULL, words[512];
	bool shown = path_is_shown(&pos, path);
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (shown) {
		tree_path_format(path, words, sizeof(words));
		print_clean(f, words);
	}
	if (shown && pos.source)
		fputs(", ", f);
	if (pos.source)
		print_position(f, &pos);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static const char *
find_line(const struct tree_source *source, unsigned line, size_t *len)
{
	const char *p = source->text, *end = p + source->len, *eol;

	for (; line > 1; line--) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			return NULL;
		p++;
	}
	eol = memchr(p, '\n', (size_t)(end - p));
	if (!eol)
		eol = end;
	if (eol > p && eol[-1] == '\r')
		eol--;
	*len = (size_t)(eol - p);
	return *len ? p : NULL;
}

/* Columns count characters; a byte 10xxxxxx continues one. */
static bool
begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static const char *
skip_characters(const char *p, const char *end, unsigned n)
{
	while (p < end && n) {
		p++;
		if (p == end || begins_character(*p))
			n--;
	}
	return p;
}

/* The quoted line and its caret below; a long line is shown around the caret. */
static void
print_window(FILE *f, const char *line, size_t len, const struct tree_pos *pos)
{
	const char *end = line + len, *from, *to, *p;
	bool fits = skip_characters(line, end, MAX_LINE) == end;
	unsigned first = !fits && pos->column > BEFORE ? pos->column - BEFORE : 1;

	from = skip_characters(line, end, first - 1);
	to = skip_characters(from, end, MAX_LINE);
	if (pos->source->argument)
		fputs("\n      | ", f);
	else
		fprintf(f, "\n%5u | ", pos->line);
	for (p = from; p < to; p++)
		fputc(iscntrl((unsigned char)*p) && *p != '\t' ? '?' : *p, f);
	fputs("\n      | ", f);
	to = skip_characters(from, end, pos->column - first);
	for (p = from; p < to; p++)
		if (begins_character(*p))
			fputc(*p == '\t' ? '\t' : ' ', f);
	fputc('^', f);
}

static void
print_line(FILE *f, const struct tree_pos *pos)
{
	const char *line;
	char *masked;
	size_t len;

	if (!pos->source || !pos->source->text || !pos->column)
		return;
	line = find_line(pos->source, pos->line, &len);
	if (!line)
		return;
	masked = pos->source->argument ? config_mask_url(line, len) : config_mask_line(line, len);
	if (masked)
		print_window(f, masked, len, pos);
	free(masked);
}

__attribute__((format(printf, 2, 0)))
static char *
render(const struct config_problem *p, const char *fmt, va_list ap)
{
	char *text = NULL, *message, path[512];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (p->pos.source) {
		print_position(f, &p->pos);
		fputs(": ", f);
	}
	if (path_is_shown(&p->pos, p->path)) {
		tree_path_format(p->path, path, sizeof(path));
		print_clean(f, path);
		fputs(": ", f);
	}
	if (vasprintf(&message, fmt, ap) >= 0) {
		print_clean(f, message);
		free(message);
	}
	if (p->hint)
		fprintf(f, ", did you mean \"%s\"?", p->hint);
	print_line(f, &p->pos);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- the collection ------------------------------------------------------- */

static unsigned
source_number(struct config_errors *errs, const struct tree_source *source)
{
	for (size_t i = 0; i < errs->n_sources; i++)
		if (errs->sources[i] == source)
			return (unsigned)i;
	errs->sources[errs->n_sources] = source;
	return (unsigned)errs->n_sources++;
}

static int
compare(const struct finding *a, const struct finding *b)
{
	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return 0;
}

static bool
already_said(const struct config_errors *errs, const char *text)
{
	for (size_t i = 0; text && i < errs->n_kept; i++)
		if (strcmp(errs->kept[i].text, text) == 0)
			return true;
	return false;
}

static void
keep(struct config_errors *errs, const struct finding *new)
{
	size_t i = errs->n_kept++;

	for (; i > 0 && compare(&errs->kept[i - 1], new) > 0; i--)
		errs->kept[i] = errs->kept[i - 1];
	errs->kept[i] = *new;
}

void
config_errors_add(struct config_errors *errs, const struct config_problem *p, const char *fmt, ...)
{
	struct finding new = { .line = p->pos.line, .column = p->pos.column };
	va_list ap;

	if (errs->n_kept == MAX_KEPT) {		/* a text costs a look at its whole source */
		errs->n++;
		errs->hard += !p->start_only;
		errs->left_out++;
		return;
	}
	va_start(ap, fmt);
	new.text = render(p, fmt, ap);
	va_end(ap);
	if (already_said(errs, new.text)) {
		free(new.text);
		return;
	}
	errs->n++;
	if (!p->start_only)
		errs->hard++;
	if (!new.text) {
		errs->left_out++;
		return;
	}
	new.source = source_number(errs, p->pos.source);
	keep(errs, &new);
}

size_t
config_errors_count(const struct config_errors *errs)
{
	return errs->n;
}

size_t
config_errors_hard(const struct config_errors *errs)
{
	return errs->hard;
}

const char *
config_errors_text(const struct config_errors *errs, size_t i)
{
	return i < errs->n_kept ? errs->kept[i].text : NULL;
}

void
config_errors_print(const struct config_errors *errs, FILE *f)
{
	for (size_t i = 0; i < errs->n_kept; i++)
		fprintf(f, "%s\n", errs->kept[i].text);
	if (errs->left_out)
		fprintf(f, "and %zu more\n", errs->left_out);
}

/* ---- the nearest name ----------------------------------------------------- */

enum { MAX_WORD = 40 };

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

static bool
same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: insert, delete, replace, or swap of two neighbours, each costs one. */
static unsigned
distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned row[3][MAX_WORD + 1], *before = row[0], *above = row[1], *here = row[2], *spare;

	for (size_t j = 0; j <= m; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		here[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned replace = above[j - 1] + !same(a[i - 1], b[j - 1]);

			here[j] = min3(above[j] + 1, here[j - 1] + 1, replace);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
			    same(a[i - 2], b[j - 1]) && before[j - 2] + 1 < here[j])
				here[j] = before[j - 2] + 1;
		}
		spare = before;
		before = above;
		above = here;
		here = spare;
	}
	return above[m];
}

void
nearest_init(struct nearest *n, const char *word)
{
	size_t len = strlen(word);

	n->word = word;
	n->best = NULL;
	/* A third of the word may be wrong; one letter of a short one. */
	n->distance = len > MAX_WORD ? 0 : (unsigned)(len + 2) / 3 + 1;
}

void
nearest_try(struct nearest *n, const char *candidate)
{
	size_t len = strlen(candidate);
	unsigned d;

	if (!n->distance || !len || len > MAX_WORD)
		return;
	d = distance(n->word, strlen(n->word), candidate, len);
	if (d >= n->distance || d >= len)
		return;
	n->distance = d;
	n->best = candidate;
}
