#include "tests/unit/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct config *
config_of_text(const char *text)
{
	static const char *const input = "-";
	const struct config_args args = {
		.sources = &input, .n_sources = 1, .input = text, .input_len = strlen(text),
	};
	struct config_errors *errs = config_errors_new();
	struct config *config = config_load(&args, NULL, CONFIG_PRINT, errs);

	if (!config)
		fail_msg("%s", config_errors_text(errs, 0));
	config_errors_free(errs);
	return config;
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
