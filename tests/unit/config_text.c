#include "tests/unit/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/service/registry.h"

static const char *
kind_name(void *arg, enum adit_kind kind, size_t i)
{
	const struct adit_plugin *p;

	for (size_t at = 0; (p = registry_at(arg, at)); at++)
		if (registry_find(arg, kind, p->name) == p && i-- == 0)
			return p->name;
	return NULL;
}

static const struct adit_opt *
kind_rows(void *arg, enum adit_kind kind, const char *name, bool *known)
{
	return registry_rows(arg, kind, name, known);
}

static struct config *
load(struct registry *r, const char *text, unsigned flags)
{
	const struct config_kinds kinds = { .arg = r, .name = kind_name, .opts = kind_rows };
	static const char *const input = "-";
	const struct config_args args = {
		.sources = &input, .n_sources = 1, .input = text, .input_len = strlen(text),
	};
	struct config_errors *errs = config_errors_new();
	struct config *config = config_load(&args, r ? &kinds : NULL, flags, errs);

	if (!config)
		config_errors_print(errs, stderr);
	config_errors_free(errs);
	assert_non_null(config);
	return config;
}

struct config *
config_of_text(struct registry *r, const char *text)
{
	return load(r, text, CONFIG_PRINT);
}

struct config *
config_to_start(struct registry *r, const char *text)
{
	return load(r, text, 0);
}

void
config_errors_expect(const struct config_errors *errs, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = config_errors_text(errs, i);
		size_t len = strlen(texts[i]);

		if (!text)
			fail_msg("missing: %s", texts[i]);
		else if (strncmp(text, texts[i], len) != 0 || (text[len] && text[len] != '\n'))
			fail_msg("expected %s, not %s", texts[i], text);
	}
	if (config_errors_text(errs, n))
		fail_msg("not expected: %s", config_errors_text(errs, n));
	assert_int_equal(config_errors_count(errs), n);
}
