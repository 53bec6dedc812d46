/*
 * Credentials shown at a group: nobody gets in without the password or the token, and what an
 * endpoint is asked lies within what was shown.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/reverst/groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char text[] = "groups: {g: {authentication: {basic: {username: user, password: pass}, "
			   "bearer: {token: some-token}, external: "
			   "{scheme: JWT, endpoint: 'http://127.0.0.1:1/'}}}}";

static struct groups *
groups(void)
{
	static struct groups *made;
	const struct tree_source source = {
		.name = "groups.yml", .text = text, .len = sizeof(text) - 1,
	};
	struct config_errors *errs, *warnings;

	if (made)
		return made;
	errs = config_errors_new();
	warnings = config_errors_new();
	made = groups_read(&source, errs, warnings);
	config_errors_free(errs);
	config_errors_free(warnings);
	return made;
}

static bool
holds(const char *value, size_t len, const char *word)
{
	return memmem(value, len, word, strlen(word));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *value = malloc(len ? len : 1);
	struct group_ask ask;
	int err;

	if (len)
		memcpy(value, data, len);
	err = group_verify(groups_find(groups(), "g", 1), value, len, &ask);
	assert(err == 0 || err == ADIT_EUNAUTH || err == -EAGAIN);
	if (err == 0)
		assert(holds(value, len, "Basic dXNlcjpwYXNz") ||
		       holds(value, len, "Bearer some-token"));
	if (err == -EAGAIN) {
		assert(strcmp(ask.strategy->scheme, "JWT") == 0);
		assert(ask.payload > value && ask.payload + ask.len <= value + len);
	}
	free(value);
	return 0;
}
