#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/errors.h"
#include "core/service/matcher_int.h"

struct parser {
	struct matcher	*m;
	const char	*rule;
	size_t		 at, len;
	char		*text;		/* where the next argument goes */
	unsigned	 depth;
	size_t		*bad;
	struct adit_err	*e;
};

/* The index of a node, or this: it failed, and p->e says why. */
#define NONE UINT16_MAX

static uint16_t parse_or(struct parser *p);	/* parentheses lead back to it */

__attribute__((format(printf, 3, 4)))
static uint16_t
parser_fail(struct parser *p, size_t at, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*p->bad = at;
	adit_err_set(p->e, ADIT_ECONFIG, "%s", text);
	return NONE;
}

/* What stands at the place, for a person. */
static const char *
parser_found(const struct parser *p, char out[8])
{
	if (p->at == p->len)
		return "the end";
	snprintf(out, 8, "\"%c\"", p->rule[p->at]);
	return out;
}

static void
parser_skip_blanks(struct parser *p)
{
	p->at += strspn(p->rule + p->at, " \t\r\n");
}

/* Takes word if it comes next. */
static bool
parser_take(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	parser_skip_blanks(p);
	if (strncmp(p->rule + p->at, word, len) != 0)
		return false;
	p->at += len;
	return true;
}

static uint16_t
parser_add(struct parser *p, size_t at, const struct matcher_node *node)
{
	struct matcher *m = p->m;

	if (m->n == MATCHER_TERMS_MAX)
		return parser_fail(p, at, "the rule has more than %d terms", MATCHER_TERMS_MAX);
	m->nodes[m->n] = *node;
	return (uint16_t)m->n++;
}

/* ---- terms ---------------------------------------------------------------------------------- */

/* Copies a text without its quotes. False: it does not end, or has an escape of which we know
 * nothing. */
static bool
parse_text(struct parser *p, struct matcher_node *node)
{
	char quote = p->rule[p->at], c;
	size_t begin = p->at++;

	node->arg_at[node->n_args] = p->at;
	node->arg[node->n_args] = p->text;
	while ((c = p->rule[p->at]) != quote) {
		if (!c) {
			parser_fail(p, begin, "a text that does not end");
			return false;
		}
		if (quote == '"' && c == '\\') {
			c = p->rule[++p->at];
			if (c != '\\' && c != '"') {
				parser_fail(p, p->at - 1, "an escape that is neither "
					    "\\\\ nor \\\": write the text in back quotes");
				return false;
			}
		}
		*p->text++ = c;
		p->at++;
	}
	p->at++;
	*p->text++ = 0;
	node->n_args++;
	return true;
}

static bool
parse_arguments(struct parser *p, struct matcher_node *node)
{
	char found[8];

	for (;;) {
		parser_skip_blanks(p);
		if (!node->n_args && parser_take(p, ")"))
			return true;
		if (p->rule[p->at] != '`' && p->rule[p->at] != '"') {
			parser_fail(p, p->at, "expected a text in back quotes or double quotes, "
				    "not %s", parser_found(p, found));
			return false;
		}
		if (node->n_args == MATCHER_ARGS) {
			parser_fail(p, p->at, "%s takes at most %u arguments", node->term->name,
				    node->term->max_args);
			return false;
		}
		if (!parse_text(p, node))
			return false;
		if (parser_take(p, ")"))
			return true;
		if (!parser_take(p, ",")) {
			parser_fail(p, p->at, "expected \",\" or \")\", not %s",
				    parser_found(p, found));
			return false;
		}
	}
}

static const struct matcher_term *
parse_name(struct parser *p, size_t len)
{
	const char *name = p->rule + p->at;
	struct nearest n;
	char word[32];

	snprintf(word, sizeof(word), "%.*s", (int)len, name);
	nearest_init(&n, word);
	for (const struct matcher_term *t = matcher_terms; t->name; t++) {
		if (strlen(t->name) == len && strncasecmp(t->name, name, len) == 0)
			return t;
		nearest_try(&n, t->name);
	}
	parser_fail(p, p->at, "unknown function \"%s\"%s%s%s", word,
		    n.best ? ", did you mean \"" : "", n.best ? n.best : "", n.best ? "\"?" : "");
	return NULL;
}

static bool
check_arguments(struct parser *p, struct matcher_node *node, size_t begin)
{
	const struct matcher_term *t = node->term;

	if (t->unavailable) {
		parser_fail(p, begin, "%s is not available in this build: %s", t->name,
			    t->unavailable);
		return false;
	}
	if (node->n_args < t->min_args || node->n_args > t->max_args) {
		if (t->min_args == t->max_args)
			parser_fail(p, begin, "%s takes %u argument%s, not %u", t->name,
				    t->min_args, t->min_args == 1 ? "" : "s", node->n_args);
		else
			parser_fail(p, begin, "%s takes %u to %u arguments, not %u", t->name,
				    t->min_args, t->max_args, node->n_args);
		return false;
	}
	*p->bad = begin;
	return !t->init || t->init(node, p->bad, p->e) == 0;
}

static uint16_t
parse_term(struct parser *p)
{
	struct matcher_node node = { .op = MATCHER_TERM };
	size_t begin = p->at, len;
	uint16_t i;
	char found[8];

	len = strspn(p->rule + p->at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
	if (!len)
		return parser_fail(p, p->at, "expected a function, as Host(`a.example`), not %s",
				   parser_found(p, found));
	node.term = parse_name(p, len);
	if (!node.term)
		return NONE;
	p->at += len;
	if (!parser_take(p, "("))
		return parser_fail(p, p->at, "expected \"(\", not %s", parser_found(p, found));
	if (!parse_arguments(p, &node))
		return NONE;
	if (!check_arguments(p, &node, begin)) {
		regex_free(node.regex);
		return NONE;
	}
	i = parser_add(p, begin, &node);
	if (i == NONE)
		regex_free(node.regex);
	return i;
}

/* ---- what joins them ------------------------------------------------------------------------ */

static uint16_t
parse_parentheses(struct parser *p)
{
	uint16_t inner = parse_or(p);
	char found[8];

	if (inner != NONE && !parser_take(p, ")"))
		return parser_fail(p, p->at, "expected \")\", not %s", parser_found(p, found));
	return inner;
}

static uint16_t
parse_unary(struct parser *p)
{
	struct matcher_node not = { .op = MATCHER_NOT };
	size_t begin;
	uint16_t i;

	parser_skip_blanks(p);
	begin = p->at;
	if (++p->depth > MATCHER_DEPTH_MAX)
		return parser_fail(p, begin, "more than %d ! and parentheses in each other",
				   MATCHER_DEPTH_MAX);
	if (parser_take(p, "!")) {
		not.a = parse_unary(p);
		i = not.a == NONE ? NONE : parser_add(p, begin, &not);
	} else if (parser_take(p, "(")) {
		i = parse_parentheses(p);
	} else {
		i = parse_term(p);
	}
	p->depth--;
	return i;
}

static uint16_t
parse_and(struct parser *p)
{
	struct matcher_node node = { .op = MATCHER_AND };

	node.a = parse_unary(p);
	while (node.a != NONE && parser_take(p, "&&")) {
		node.b = parse_unary(p);
		node.a = node.b == NONE ? NONE : parser_add(p, p->at, &node);
	}
	return node.a;
}

static uint16_t
parse_or(struct parser *p)
{
	struct matcher_node node = { .op = MATCHER_OR };

	node.a = parse_and(p);
	while (node.a != NONE && parser_take(p, "||")) {
		node.b = parse_and(p);
		node.a = node.b == NONE ? NONE : parser_add(p, p->at, &node);
	}
	return node.a;
}

static bool
parse_rule(struct parser *p)
{
	char found[8];

	if (p->len > MATCHER_BYTES_MAX) {
		parser_fail(p, 0, "a rule of more than %d bytes", MATCHER_BYTES_MAX);
		return false;
	}
	p->m->root = parse_or(p);
	if (p->m->root == NONE)
		return false;
	parser_skip_blanks(p);
	if (p->at == p->len)
		return true;
	parser_fail(p, p->at, "expected \"&&\", \"||\" or the end, not %s", parser_found(p, found));
	return false;
}

struct matcher *
matcher_new(const char *rule, size_t *at, struct adit_err *e)
{
	struct matcher *m = calloc(1, sizeof(*m));
	struct matcher_node *small;
	struct parser p = { .m = m, .rule = rule, .len = strlen(rule), .bad = at, .e = e };

	*at = 0;
	if (m) {
		m->text = p.text = malloc(p.len + 1);
		m->nodes = calloc(MATCHER_TERMS_MAX, sizeof(*m->nodes));
	}
	if (!m || !m->text || !m->nodes) {
		matcher_free(m);
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (!parse_rule(&p)) {
		matcher_free(m);
		return NULL;
	}
	for (unsigned i = 0; i < m->n; i++)
		m->asks_client |= m->nodes[i].op == MATCHER_TERM &&
				  strcmp(m->nodes[i].term->name, "ClientIP") == 0;
	small = realloc(m->nodes, m->n * sizeof(*small));
	if (small)
		m->nodes = small;
	return m;
}
