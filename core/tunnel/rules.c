#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime/text_hash.h"
#include "core/tunnel/rules.h"
#include "core/wire/hostname.h"

struct rule {
	struct rule		*next;		/* in its bucket */
	struct adit_rule	 rule;
	unsigned		 line;		/* of the text that it is from; 0: of none */
	char			 name[];	/* lower case; a wildcard keeps its dot */
};

struct rules {
	struct rule	**buckets;
	size_t		 n, size;		/* size: a power of 2 */
	unsigned	 line;			/* that is being added; 0: no text is */
	unsigned	 repeated, first, again;	/* lines of it */
};

struct rules *
rules_new(void)
{
	struct rules *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->size = 16;
	r->buckets = calloc(r->size, sizeof(*r->buckets));
	if (!r->buckets) {
		free(r);
		return NULL;
	}
	return r;
}

void
rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->size; i++) {
		while (r->buckets[i]) {
			struct rule *rule = r->buckets[i];

			r->buckets[i] = rule->next;
			free(rule);
		}
	}
	free(r->buckets);
	free(r);
}

/* Names come from who configures the server: nobody else can make them collide. */
static size_t
rules_hash(const char *name)
{
	return (size_t)text_hash(name, 0);
}

static struct rule *
rules_get(const struct rules *r, const char *name)
{
	struct rule *rule = r->buckets[rules_hash(name) & (r->size - 1)];

	while (rule && strcmp(rule->name, name) != 0)
		rule = rule->next;
	return rule;
}

static void
rules_grow(struct rules *r)
{
	size_t size = r->size * 2;
	struct rule **buckets = calloc(size, sizeof(*buckets));

	if (!buckets)
		return;			/* slower, and still right */
	for (size_t i = 0; i < r->size; i++) {
		while (r->buckets[i]) {
			struct rule *rule = r->buckets[i];
			size_t at = rules_hash(rule->name) & (size - 1);

			r->buckets[i] = rule->next;
			rule->next = buckets[at];
			buckets[at] = rule;
		}
	}
	free(r->buckets);
	r->buckets = buckets;
	r->size = size;
}

static int
rules_put(struct rules *r, const char *name, const struct adit_rule *value)
{
	struct rule *rule = rules_get(r, name);
	size_t len = strlen(name), at;

	if (rule) {
		if (r->line && rule->line && !r->repeated++) {
			r->first = rule->line;
			r->again = r->line;
		}
		rule->rule = *value;
		rule->line = r->line;
		return 0;
	}
	if (r->n >= r->size)
		rules_grow(r);
	rule = malloc(sizeof(*rule) + len + 1);
	if (!rule)
		return -ENOMEM;
	at = rules_hash(name) & (r->size - 1);
	*rule = (struct rule){ .next = r->buckets[at], .rule = *value, .line = r->line };
	memcpy(rule->name, name, len + 1);
	r->buckets[at] = rule;
	r->n++;
	return 0;
}

/* A text may be anything, a file of secrets too: only what the configuration says is quoted. */
static int
rules_refuse(const struct rules *r, const char *why, const char *what, struct adit_err *e)
{
	return r->line ? adit_err_set(e, -EINVAL, "%s", why) :
			 adit_err_set(e, -EINVAL, "%s: \"%s\"", why, what);
}

int
rules_set(struct rules *r, const char *host, const struct adit_rule *rule, struct adit_err *e)
{
	char name[HOSTNAME_PATTERN_SIZE];

	if (hostname_pattern(host, name) < 0)
		return rules_refuse(r, "not a host name", host, e);
	if (rules_put(r, name, rule) < 0)
		return adit_err_set(e, -ENOMEM, "out of memory");
	return 0;
}

/* The rule as text: "host" and its endpoint, a UUID, with "$" in front: private. */
static int
rules_add(struct rules *r, const char *host, const char *endpoint, struct adit_err *e)
{
	struct adit_rule rule = { .private_ = *endpoint == '$' };

	if (adit_uuid_parse(endpoint + rule.private_, false, &rule.tunnel) < 0)
		return rules_refuse(r, "not a tunnel id (a UUID)", endpoint, e);
	return rules_set(r, host, &rule, e);
}

int
rules_merge(struct rules *r, const struct rules *from)
{
	for (size_t i = 0; i < from->size; i++)
		for (const struct rule *rule = from->buckets[i]; rule; rule = rule->next)
			if (rules_put(r, rule->name, &rule->rule) < 0)
				return -ENOMEM;
	return 0;
}

/* "host:uuid"; a host has no colon, and what is behind the first one must be the id. */
static int
rules_add_pair(struct rules *r, char *pair, struct adit_err *e)
{
	char *colon = strchr(pair, ':');
	size_t n = r->n;
	int err;

	if (!colon)
		return adit_err_set(e, -EINVAL, "expected host:tunnel-id, not \"%s\"", pair);
	*colon = 0;
	err = rules_add(r, pair, colon + 1, e);
	if (!err && r->n == n)
		err = adit_err_set(e, -EINVAL, "\"%s\" has two tunnels", pair);
	return err;
}

int
rules_add_list(struct rules *r, const char *list, struct adit_err *e)
{
	char *copy = strdup(list), *rest = copy, *pair;
	int err = 0;

	if (!copy)
		return adit_err_set(e, -ENOMEM, "out of memory");
	while (!err && (pair = strsep(&rest, ",")))
		if (*pair)
			err = rules_add_pair(r, pair, e);
	free(copy);
	return err;
}

int
rules_check_list(const char *list, struct adit_err *e)
{
	struct rules *r = rules_new();
	int err = r ? rules_add_list(r, list, e) : adit_err_set(e, -ENOMEM, "out of memory");

	rules_free(r);
	return err;
}

static int
rules_add_line(struct rules *r, char *line, struct adit_err *e)
{
	char *comment = strchr(line, '#'), *save = NULL, *host, *endpoint;

	if (comment)
		*comment = 0;
	host = strtok_r(line, " \t\r", &save);
	if (!host)
		return 0;
	endpoint = strtok_r(NULL, " \t\r", &save);
	if (!endpoint)
		return adit_err_set(e, -EINVAL, "expected \"host tunnel-id\"");
	return rules_add(r, host, endpoint, e);
}

/* What is there is from no line of the text that comes. */
static void
rules_begin_text(struct rules *r)
{
	for (size_t i = 0; i < r->size; i++)
		for (struct rule *rule = r->buckets[i]; rule; rule = rule->next)
			rule->line = 0;
	r->repeated = r->line = 0;
}

int
rules_add_text(struct rules *r, const char *text, struct adit_err *e)
{
	char *copy = strdup(text), *rest = copy, *line;
	int err = 0;

	if (!copy)
		return adit_err_set(e, -ENOMEM, "out of memory");
	rules_begin_text(r);
	while (!err && (line = strsep(&rest, "\n"))) {
		r->line++;
		err = rules_add_line(r, line, e);
	}
	free(copy);
	if (err)
		adit_err_context(e, "line %u", r->line);
	r->line = 0;
	return err;
}

unsigned
rules_repeated(const struct rules *r, unsigned *first, unsigned *again)
{
	*first = r->first;
	*again = r->again;
	return r->repeated;
}

int
rules_find(const struct rules *r, const char *host, struct adit_rule *out)
{
	char name[HOSTNAME_MAX + 2];
	const struct rule *rule = rules_get(r, host);
	size_t len = strlen(host);

	if (!rule && len <= HOSTNAME_MAX) {
		name[0] = '.';
		memcpy(name + 1, host, len + 1);
		for (const char *at = name; at && !rule; at = strchr(at + 1, '.'))
			rule = rules_get(r, at);
	}
	if (!rule)
		return ADIT_ENOROUTE;
	*out = rule->rule;
	return 0;
}

size_t
rules_count(const struct rules *r)
{
	return r->n;
}
