/* Ingress rules as text: what is taken is the same when taken twice, and all of it survives a
 * merge. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/tunnel/rules.h"
#include "core/wire/hostname.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every first word of a line that names one host leads to the same tunnel in both sets. */
static void
check_lines(char *text, const struct rules *a, const struct rules *b)
{
	struct adit_rule x = { .private_ = false }, y = { .private_ = true };
	char *rest = text, *line, host[HOSTNAME_MAX + 1];

	while ((line = strsep(&rest, "\n"))) {
		size_t len;

		line += strspn(line, " \t\r");
		len = strcspn(line, " \t\r#");
		if (!len || *line == '*' || *line == '.' || *line == '[')
			continue;
		assert(hostname_normalise(line, len, host) >= 0);
		assert(rules_find(a, host, &x) == 0);
		assert(rules_find(b, host, &y) == 0);
		assert(memcmp(&x.tunnel, &y.tunnel, sizeof(x.tunnel)) == 0);
		assert(x.private_ == y.private_);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rules *a = rules_new(), *b = rules_new();
	struct adit_err e = ADIT_ERR_INIT;
	char *text = malloc(len + 1);
	size_t n;

	memcpy(text, data, len);
	text[len] = 0;
	if (rules_add_text(a, text, &e) == 0) {
		n = rules_count(a);
		assert(rules_add_text(a, text, &e) == 0 && rules_count(a) == n);
		assert(rules_merge(b, a) == 0 && rules_count(b) == n);
		check_lines(text, a, b);
	} else {
		assert(e.code < 0 && strncmp(e.text, "line ", 5) == 0);
	}
	rules_add_list(b, text, &e);
	rules_free(a);
	rules_free(b);
	free(text);
	return 0;
}
