/* A configuration file: the tree, its two printed forms, and the typed model with all its
 * checks. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *
no_environment(const char *name)
{
	(void)name;
	return NULL;
}

/* One plugin of each kind, with rows of each type. */
static const struct adit_opt *
opts(void *arg, enum adit_kind kind, const char *name, bool *known)
{
	static const char *const words[] = { "a", "b", NULL };
	static const struct adit_opt rows[] = {
		{ .name = "bool", .type = ADIT_OPT_BOOL },
		{ .name = "int", .type = ADIT_OPT_INT, .max = 255 },
		{ .name = "dur", .type = ADIT_OPT_DURATION },
		{ .name = "size", .type = ADIT_OPT_SIZE },
		{ .name = "str", .type = ADIT_OPT_STRING, .flags = ADIT_OPT_SECRET },
		{ .name = "list", .type = ADIT_OPT_LIST },
		{ .name = "map", .type = ADIT_OPT_MAP },
		{ .name = "addr", .type = ADIT_OPT_ADDR },
		{ .name = "uuid", .type = ADIT_OPT_UUID },
		{ .name = "enum", .type = ADIT_OPT_ENUM, .values = words },
		{ .name = "name", .type = ADIT_OPT_NAME, .refers = "ingresses" },
		{ .name = "tree", .type = ADIT_OPT_TREE, .refers = "ingresses" },
		ADIT_OPT_END,
	};

	(void)arg;
	(void)kind;
	*known = strcmp(name, "tcp") == 0 || strcmp(name, "auto") == 0 || strcmp(name, "http") == 0;
	return *known ? rows : NULL;
}

/* What is printed reads as the same again. */
static void
check_round_trip(const struct adit_tree *root)
{
	struct arena *a = arena_new();
	struct config_errors *errs = config_errors_new();
	struct tree_source source = { .name = "again" };
	char *yaml = tree_emit(root, TREE_YAML, &source.len), *json;

	if (!yaml)
		abort();
	source.text = yaml;
	if (!tree_equal(tree_read(a, &source, errs), root))
		abort();
	json = tree_emit(root, TREE_JSON, &source.len);
	source.text = json;
	if (!json || !tree_read(a, &source, errs))
		abort();
	free(yaml);
	free(json);
	config_errors_free(errs);
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const input = "-";
	struct config_args args = {
		.sources = &input, .n_sources = 1, .env = no_environment,
		.input = (const char *)data, .input_len = len,
	};
	struct config_kinds kinds = { .opts = opts };
	struct config_errors *errs = config_errors_new();
	struct config *c;

	if (!len)
		args.input = "";
	c = config_load(&args, &kinds, CONFIG_PRINT, errs);
	if (c) {
		check_round_trip(c->node);
		for (size_t i = 0; i < c->services.n; i++)
			if (!service_conf_equal(c, &c->services.v[i], c, &c->services.v[i]))
				abort();
	}
	config_put(c);
	config_errors_free(errs);
	return 0;
}
