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

static bool
host_matches(const char *pattern, const char *host)
{
	bool below = *pattern == '*' || *pattern == '.';
	size_t len, skip;

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

bool
filter_matches(const struct filter_conf *f, const struct filter_request *req)
{
	if (!f)
		return true;
	if (f->host && !(req->host && *req->host && host_matches(f->host, req->host)))
		return false;
	if (f->protocol && (!req->protocol || strcasecmp(f->protocol, req->protocol) != 0))
		return false;
	return !f->path || (req->path && strncmp(f->path, req->path, strlen(f->path)) == 0);
}

size_t
filter_nodes(const struct node_list *nodes, const struct filter_request *req, size_t *out)
{
	size_t n = 0;

	for (int with_host = 1; !n && with_host >= 0; with_host--) {
		for (size_t i = 0; i < nodes->n; i++) {
			const struct filter_conf *f = nodes->v[i].filter;

			if ((f && f->host) == (with_host == 1) && filter_matches(f, req))
				out[n++] = i;
		}
	}
	return n;
}
