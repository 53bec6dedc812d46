#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/worker.h>

#include "cmd/commands.h"
#include "core/config/mask.h"

#define DRAIN_DEFAULT ADIT_SECONDS(10)
#define MEMORY_MIN (16u << 20)
#define MEMORY_MAX (1ull << 60)

enum flag_type { FLAG_BOOL, FLAG_TEXT, FLAG_LIST, FLAG_DURATION, FLAG_COUNT, FLAG_SIZE };

struct flag {
	const char	*name;
	enum flag_type	 type;
	size_t		 offset;	/* in struct flags */
	const char	*value;		/* for the usage */
	const char	*help;
};

struct list {
	const char *const	*v;
	size_t			 n;
};

#define AT(f) offsetof(struct flags, f)
static const struct flag flags[] = {
	{ "L", FLAG_LIST, AT(args.services), "URL",
	  "a service: handler+listener://[user:pass@]host:port[/target][?options]" },
	{ "F", FLAG_LIST, AT(args.nodes), "URL",
	  "a hop of the chain: connector+dialer://[user:pass@]host:port[?options]" },
	{ "C", FLAG_LIST, AT(args.sources), "SOURCE",
	  "configuration: a file, - for standard input, or {...}" },
	{ "O", FLAG_TEXT, AT(output), "FORMAT",
	  "print the merged configuration (yaml or json) and exit" },
	{ "D", FLAG_BOOL, AT(args.debug), NULL, "log level debug" },
	{ "DD", FLAG_BOOL, AT(args.trace), NULL, "log level trace" },
	{ "R", FLAG_DURATION, AT(reload), "DURATION", "reload the configuration this often" },
	{ "V", FLAG_BOOL, AT(version), NULL, "print the version and exit" },
	{ "api", FLAG_TEXT, AT(args.api), "ADDR", "address of the web API" },
	{ "metrics", FLAG_TEXT, AT(args.metrics), "ADDR", "address of the metrics" },
	{ "workers", FLAG_COUNT, AT(workers), "N", "worker threads; one per core when not given" },
	{ "memory", FLAG_SIZE, AT(memory), "SIZE",
	  "budget for buffers and sessions, as 512M; half of the machine's when not given" },
	{ "drain", FLAG_DURATION, AT(drain), "DURATION",
	  "limit for open connections at the stop (10s)" },
	{ "state-dir", FLAG_TEXT, AT(state_dir), "DIR",
	  "where keys and certificates of our own are kept" },
	{ "h", FLAG_BOOL, AT(help), NULL, NULL },
	{ "help", FLAG_BOOL, AT(help), NULL, "this text" },
};
#define N_FLAGS (sizeof(flags) / sizeof(*flags))

void
flags_usage(FILE *out)
{
	const struct command *c;

	fprintf(out, "usage: adit [flags]\n");
	for (unsigned i = 0; (c = command_at(i)); i++)
		fprintf(out, "       adit %s%s%s\n", c->name, *c->args ? " " : "", c->args);
	fprintf(out, "\nflags (one dash or two; -L, -F and -C may be repeated):\n");
	for (size_t i = 0; i < N_FLAGS; i++) {
		char left[40];

		if (!flags[i].help)
			continue;
		snprintf(left, sizeof(left), "-%s %s", flags[i].name,
			 flags[i].value ? flags[i].value : "");
		fprintf(out, "  %-22s %s\n", left, flags[i].help);
	}
	fprintf(out, "\ncommands:\n");
	for (unsigned i = 0; (c = command_at(i)); i++)
		fprintf(out, "  %-22s %s\n", c->name, c->help);
}

static const struct flag *
flag_find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_FLAGS; i++)
		if (strlen(flags[i].name) == len && strncmp(flags[i].name, name, len) == 0)
			return &flags[i];
	return NULL;
}

static int
list_add(struct flags *f, size_t offset, const char *value)
{
	/* A list in struct config_args is a pointer with its length behind it. */
	const char *const **v = (const char *const **)(void *)((char *)f + offset);
	size_t *n = (size_t *)(void *)((char *)f + offset + sizeof(*v));
	const char **more = realloc((void *)(uintptr_t)*v, (*n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	more[(*n)++] = value;
	*v = more;
	return 0;
}

static int
count_read(const char *text, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || *text == '-' || n > ADIT_WORKERS_MAX)
		return -EINVAL;
	*out = (unsigned)n;
	return 0;
}

/*
 * Bytes, or with K, M, G or T behind: in powers of 1024. At least what one worker's spare chunks
 * need.
 */
static int
size_read(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;
	unsigned long long n;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*end || errno || n > MEMORY_MAX >> shift || n << shift < MEMORY_MIN)
		return -EINVAL;
	*out = n << shift;
	return 0;
}

static int
bool_read(const char *text, bool *out)
{
	const struct adit_opt row = { .name = "", .type = ADIT_OPT_BOOL };

	return adit_opt_set(&row, out, text, NULL);
}

/* Durations of -R are gost's: with a unit. */
static int
duration_read(const char *text, uint64_t *out)
{
	const struct adit_opt row = { .name = "", .type = ADIT_OPT_DURATION };

	return adit_opt_set(&row, out, text, NULL);
}

static int
flag_set(struct flags *f, const struct flag *flag, const char *value)
{
	void *at = (char *)f + flag->offset;

	switch (flag->type) {
	case FLAG_BOOL:
		return bool_read(value ? value : "true", at);
	case FLAG_TEXT:
		*(const char **)at = value;
		return 0;
	case FLAG_LIST:
		return list_add(f, flag->offset, value);
	case FLAG_DURATION:
		return duration_read(value, at);
	case FLAG_COUNT:
		return count_read(value, at);
	case FLAG_SIZE:
		return size_read(value, at);
	}
	return -EINVAL;
}

/* near: the known word that may be meant, without what is wanted in front of it, or NULL. */
static int
flags_refuse(const char *what, const char *subject, const char *dash, const char *near)
{
	/* A -L that was forgotten may have a password behind it. */
	char *masked = config_mask_url(subject, strlen(subject));

	fprintf(stderr, "adit: %s: %s", what, masked ? masked : "");
	if (near)
		fprintf(stderr, ", did you mean \"%s%s\"?", dash, near);
	fputs("\nadit: see adit -help\n", stderr);
	free(masked);
	return 2;
}

static int
flags_refuse_flag(const char *flag, const char *name, size_t len)
{
	char *word = strndup(name, len);
	struct nearest n;
	int status;

	nearest_init(&n, word ? word : "");
	for (size_t i = 0; i < N_FLAGS; i++)
		if (strlen(flags[i].name) > 1)
			nearest_try(&n, flags[i].name);
	status = flags_refuse("flag provided but not defined", flag, "-", n.best);
	free(word);
	return status;
}

static int
flags_refuse_word(const char *word)
{
	const struct command *c;
	struct nearest n;

	nearest_init(&n, word);
	for (unsigned i = 0; (c = command_at(i)); i++)
		nearest_try(&n, c->name);
	return flags_refuse("not a flag or command", word, "", n.best);
}

/* One flag at argv[*i], perhaps with its value behind it. */
static int
flags_read_one(struct flags *f, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 1 + (argv[*i][1] == '-'), *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct flag *flag = flag_find(name, len);
	const char *value = equals ? equals + 1 : NULL;

	if (!flag)
		return flags_refuse_flag(argv[*i], name, len);
	if (!value && flag->type != FLAG_BOOL) {
		if (*i + 1 >= argc)
			return flags_refuse("flag needs an argument", argv[*i], NULL, NULL);
		value = argv[++*i];
	}
	if (flag_set(f, flag, value) < 0) {
		fprintf(stderr, "adit: invalid value \"%s\" for flag -%s\n", value ? value : "",
			flag->name);
		return 2;
	}
	return 0;
}

int
flags_read(struct flags *f, int argc, char **argv, bool files)
{
	*f = (struct flags){ .drain = DRAIN_DEFAULT };
	for (int i = 1; i < argc; i++) {
		int err = 0;

		if (argv[i][0] == '-' && argv[i][1])
			err = flags_read_one(f, argc, argv, &i);
		else if (files)
			err = list_add(f, offsetof(struct flags, args.sources), argv[i]) < 0;
		else
			err = flags_refuse_word(argv[i]);
		if (err)
			return err;
	}
	if (f->output && strcmp(f->output, "yaml") != 0 && strcmp(f->output, "json") != 0)
		return flags_refuse("-O takes yaml or json, not", f->output, NULL, NULL);
	return 0;
}

void
flags_fini(struct flags *f)
{
	free((void *)(uintptr_t)f->args.services);
	free((void *)(uintptr_t)f->args.nodes);
	free((void *)(uintptr_t)f->args.sources);
}
