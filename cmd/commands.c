#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <adit/worker.h>

#include "cmd/commands.h"
#include "core/config/opts.h"
#include "core/config/printed.h"
#include "core/conn/tls_default.h"
#include "core/service/daemon.h"
#include "core/service/matcher.h"
#include "core/service/secret.h"
#include "plugins/builtin.h"

/* ---- what the configuration may name -------------------------------------------------- */

static const char *
kinds_name(void *arg, enum adit_kind kind, size_t i)
{
	const struct registry *r = arg;
	const struct adit_plugin *p;

	for (size_t at = 0; (p = registry_at(r, at)); at++) {
		if (registry_serves(p, kind) && i-- == 0)
			return p->name;
	}
	return NULL;
}

static const struct adit_opt *
kinds_opts(void *arg, enum adit_kind kind, const char *name, bool *known)
{
	return registry_rows(arg, kind, name, known);
}

static int
kinds_rule(void *arg, const char *rule, size_t *at, struct adit_err *e)
{
	struct matcher *m = matcher_new(rule, at, e);

	(void)arg;
	matcher_free(m);
	return m ? 0 : e->code;
}

/* The registry with all built-ins, as a configuration sees it; NULL after a message on stderr. */
static struct registry *
plugins_load(struct config_kinds *kinds)
{
	struct registry *r = registry_new();
	struct adit_err e = ADIT_ERR_INIT;

	if (!r || builtin_register(r, &e) < 0) {
		fprintf(stderr, "adit: %s\n", r ? e.text : "out of memory");
		registry_free(r);
		return NULL;
	}
	*kinds = (struct config_kinds){
		.arg = r, .name = kinds_name, .opts = kinds_opts, .check_rule = kinds_rule,
	};
	return r;
}

/* ---- the daemon ------------------------------------------------------------------------- */

static int
print_config(const struct config *config, const char *format)
{
	size_t len;
	enum tree_format as = strcmp(format, "json") == 0 ? TREE_JSON : TREE_YAML;
	struct arena *a = arena_new();
	const struct adit_tree *tree = a ? config_printed(a, config->node) : NULL;
	char *text = tree ? tree_emit(tree, as, &len) : NULL;

	arena_free(a);
	if (!text) {
		fprintf(stderr, "adit: out of memory\n");
		return 1;
	}
	fwrite(text, 1, len, stdout);
	free(text);
	return fflush(stdout) ? 1 : 0;
}

/*
 * --state-dir, $STATE_DIRECTORY (systemd), or adit's in $XDG_STATE_HOME, which is ~/.local/state if
 * it is not set (XDG Base Directory Specification); with no home either nothing is kept.
 */
static void
choose_state_dir(const char *given)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	bool set = state && *state;
	char path[4096];

	if (!given)
		given = getenv("STATE_DIRECTORY");
	if (!given && (set || (home && *home))) {
		snprintf(path, sizeof(path), "%s%s/adit", set ? state : home,
			 set ? "" : "/.local/state");
		given = path;
	}
	tls_default_set_dir(given);
	secret_set_dir(given);
}

static struct config *
load_config(const struct flags *f, const struct config_kinds *kinds)
{
	struct config_errors *errs = config_errors_new();
	struct config *config = NULL;

	if (errs) {
		config = config_load(&f->args, kinds, f->output ? CONFIG_PRINT : 0, errs);
		if (!config)
			config_errors_print(errs, stderr);
	}
	config_errors_free(errs);
	return config;
}

static int
run(const struct flags *f)
{
	struct config_kinds kinds;
	struct registry *r = plugins_load(&kinds);
	struct config *config = r ? load_config(f, &kinds) : NULL;
	int status = 2;

	if (config && f->output) {
		status = print_config(config, f->output);
		config_put(config);
	} else if (config) {
		const struct daemon_conf conf = {
			.registry = r, .kinds = &kinds, .args = f->args, .workers = f->workers,
			.memory = f->memory, .drain = f->drain, .reload = f->reload,
		};

		choose_state_dir(f->state_dir);
		status = daemon_run(&conf, config);
	}
	registry_free(r);
	return status;
}

int
command_run(int argc, char **argv)
{
	struct flags f;
	int status = flags_read(&f, argc, argv, false);

	if (!status && f.version)
		printf("adit " ADIT_VERSION "\n");
	else if (!status && f.help)
		flags_usage(stdout);
	else if (!status)
		status = run(&f);
	flags_fini(&f);
	return status;
}

/* ---- subcommands ---------------------------------------------------------------------------- */

/* Whether all that config asks for could be made; else every reason is on stderr. */
static bool
check_config(const struct registry *r, struct config *config)
{
	struct config_errors *errs = config_errors_new();
	bool good = errs && daemon_check(r, config, errs) == 0;

	if (errs && !good)
		config_errors_print(errs, stderr);
	config_errors_free(errs);
	return good;
}

static int
check_run(int argc, char **argv)
{
	struct config_kinds kinds;
	struct config *config;
	struct registry *r;
	struct flags f;
	int status = flags_read(&f, argc, argv, true);

	if (status) {
		flags_fini(&f);
		return status;
	}
	r = plugins_load(&kinds);
	config = r ? load_config(&f, &kinds) : NULL;
	status = config && check_config(r, config) ? 0 : 2;
	if (!status)
		printf("ok\n");
	config_put(config);
	registry_free(r);
	flags_fini(&f);
	return status;
}

static int
list_run(int argc, char **argv)
{
	static const enum adit_kind kinds[] = {
		ADIT_LISTENER, ADIT_HANDLER, ADIT_CONNECTOR, ADIT_DIALER, ADIT_LAYER, ADIT_INGRESS,
	};
	struct config_kinds known;
	struct registry *r = plugins_load(&known);
	const char *name;

	if (!r || argc > 1) {
		fprintf(stderr, "usage: adit %s\n", argv[0]);
		registry_free(r);
		return 2;
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
		for (size_t i = 0; (name = kinds_name(r, kinds[k], i)); i++)
			printf("%-10s %-10s %s\n", registry_kind_name(kinds[k]), name,
			       registry_find(r, kinds[k], name)->help);
	registry_free(r);
	return 0;
}

static int
kind_from(const char *word, enum adit_kind *out)
{
	for (int k = 0; k < ADIT_KINDS; k++) {
		if (strcmp(registry_kind_name((enum adit_kind)k), word) == 0) {
			*out = (enum adit_kind)k;
			return 0;
		}
	}
	return -1;
}

static int
help_refuse(struct registry *r, enum adit_kind kind, const char *name)
{
	const char *known;
	struct nearest n;

	nearest_init(&n, name);
	for (size_t i = 0; (known = kinds_name(r, kind, i)); i++)
		nearest_try(&n, known);
	fprintf(stderr, "adit: no %s %s", registry_kind_name(kind), name);
	if (n.best)
		fprintf(stderr, ", did you mean \"%s\"?\n", n.best);
	else
		fputs("; see adit list\n", stderr);
	return 2;
}

static int
help_print(struct registry *r, const char *kind_word, const char *name)
{
	enum adit_kind kind;
	bool known = false;
	const struct adit_opt *rows;

	if (kind_from(kind_word, &kind) < 0) {
		fprintf(stderr,
			"adit: no kind %s: listener, handler, connector, dialer, layer, ingress\n",
			kind_word);
		return 2;
	}
	rows = registry_rows(r, kind, name, &known);
	if (!known) {
		return help_refuse(r, kind, name);
	}
	printf("%s %s: %s\n\n", kind_word, name, registry_find(r, kind, name)->help);
	opts_print(stdout, kind_word, name, rows);
	return 0;
}

static int
help_run(int argc, char **argv)
{
	struct config_kinds kinds;
	struct registry *r;
	int status;

	if (argc != 3) {
		flags_usage(argc == 1 ? stdout : stderr);
		return argc == 1 ? 0 : 2;
	}
	r = plugins_load(&kinds);
	if (!r)
		return 1;
	status = help_print(r, argv[1], argv[2]);
	registry_free(r);
	return status;
}

static const struct command commands[] = {
	{ "check", "FILE ... | -C SOURCE | -L URL ... [-F URL ...]",
	  "check a configuration and start nothing", check_run },
	{ "list", "", "list the plugins", list_run },
	{ "help", "[KIND NAME]", "what a plugin is and which options it takes", help_run },
};

const struct command *
command_at(unsigned i)
{
	return i < sizeof(commands) / sizeof(*commands) ? &commands[i] : NULL;
}

const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}
