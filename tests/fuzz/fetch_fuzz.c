/* URLs that lists are read from, and that servers send one to: taken or refused, never quoted. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/source/fetch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *url = malloc(len + 1);
	struct adit_err e = ADIT_ERR_INIT;
	bool https;
	int err;

	assert(url);
	memcpy(url, data, len);
	url[len] = '\0';
	err = fetch_check_url(url, &https, &e);
	assert(err == 0 || (err == -EINVAL && e.code == err && *e.text));
	assert(err || strncasecmp(url, https ? "https://" : "http://", https ? 8 : 7) == 0);
	free(url);
	return 0;
}
