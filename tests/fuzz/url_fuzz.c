/* Command lines: the input is one argument for each line, -L first, -F where a line begins with a
 * blank. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/source.h"

enum { MAX_LINES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *
no_environment(const char *name)
{
	(void)name;
	return NULL;
}

/* Every tree that a URL gives can be printed and read again. */
static void
check_round_trip(struct arena *a, const struct adit_tree *root, struct config_errors *errs)
{
	struct tree_source source = { .name = "again" };
	char *text = tree_emit(root, TREE_YAML, &source.len);

	/* Bytes that are not UTF-8 are no YAML: the emitter refuses them. */
	source.text = text;
	if (text && !tree_read(a, &source, errs))
		abort();
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *services[MAX_LINES], *nodes[MAX_LINES];
	struct config_args args = { .services = services, .nodes = nodes, .env = no_environment };
	struct config_errors *errs = config_errors_new();
	struct arena *a = arena_new();
	char *text = strndup((const char *)data, len), *save, *line;
	const struct adit_tree *root;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == ' ' && args.n_nodes < MAX_LINES)
			nodes[args.n_nodes++] = line + 1;
		else if (*line != ' ' && args.n_services < MAX_LINES)
			services[args.n_services++] = line;
	}
	if (args.n_services) {
		root = source_load(a, &args, NULL, errs);
		if (root && !config_errors_hard(errs) && tree_len(tree_get(root, "services")) < 100)
			check_round_trip(a, root, errs);
	}
	free(text);
	arena_free(a);
	config_errors_free(errs);
	return 0;
}
