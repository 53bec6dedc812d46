#include <string.h>
#include <strings.h>

#include "core/service/filter.h"

/* A trailing dot only says that the name is complete. */
static size_t
host_len(const char *host)
{
	size_t len = strlen(host);

	return len && host[len - 1] == '.' ? len - 1 : len;
}

bool
filter_host_matches(const char *pattern, const char *host)
{
	bool below = *pattern == '*' || *pattern == '.';
	size_t len, skip;

	if (!host || !*host)
		return false;
	if (strcmp(pattern, "*") == 0)
		return true;
	pattern += *pattern == '*';
	if (below)
		pattern += *pattern == '.';
	len = host_len(pattern);
	skip = host_len(host);
	if (!len || skip < len)
		return false;
	skip -= len;
	if (skip && (!below || host[skip - 1] != '.'))
		return false;
	return strncasecmp(host + skip, pattern, len) == 0;
}

static bool
path_begins(struct adit_text path, const char *prefix)
{
	size_t len = strlen(prefix);

	return path.s && path.len >= len && memcmp(path.s, prefix, len) == 0;
}

bool
filter_matches(const struct filter_conf *f, const struct route_request *req)
{
	if (!f)
		return true;
	if (f->host && !filter_host_matches(f->host, req->host))
		return false;
	if (f->protocol && (!req->protocol || strcasecmp(f->protocol, req->protocol) != 0))
		return false;
	return !f->path || path_begins(req->path, f->path);
}
