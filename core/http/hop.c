#include "core/http/h1.h"

#include <errno.h>

#include "core/http/fields.h"

#define OPTIONS_MAX 64

bool
h1_wants_upgrade(const struct adit_fields *f)
{
	return adit_fields_version(f) != 10 && adit_fields_get(f, "Upgrade").len > 0 &&
	       adit_fields_has(f, "Connection", "upgrade");
}

/* What Connection cannot take away: it says where the message goes, or how long it is. */
static bool
is_end_to_end(struct adit_text name)
{
	return http_text_equal(name, "Host", 4) || http_text_equal(name, "Content-Length", 14);
}

/*
 * All elements of all Connection fields; they stay valid when fields are removed. How many, or
 * -E2BIG.
 */
static int
find_options(const struct adit_fields *f, struct adit_text options[OPTIONS_MAX])
{
	int n = 0;

	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);
		struct adit_text list = field->value, option;

		if (!http_text_equal(field->name, "Connection", 10))
			continue;
		while (http_list_next(&list, &option)) {
			if (n == OPTIONS_MAX)
				return -E2BIG;
			options[n++] = option;
		}
	}
	return n;
}

int
h1_strip_hop_by_hop(struct adit_fields *f, bool keep_upgrade)
{
	static const char *const known[] = { "Connection", "Keep-Alive", "Proxy-Connection", "TE",
					     "Transfer-Encoding" };
	bool upgrade = keep_upgrade && h1_wants_upgrade(f);
	struct adit_text options[OPTIONS_MAX];
	int n = find_options(f, options);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		if (!is_end_to_end(options[i]) &&
		    !(upgrade && http_text_equal(options[i], "Upgrade", 7)))
			fields_remove(f, options[i]);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		adit_fields_remove(f, known[i]);
	if (upgrade)
		return adit_fields_set(f, "Connection", "Upgrade");
	adit_fields_remove(f, "Upgrade");
	return 0;
}
