/*
 * Handler `api`: the configuration of the running process over HTTP, read and changed. `api` at the
 * top of a configuration is a service with this handler.
 *
 * Who may change the configuration may do what the process may. Where no credentials are asked for,
 * a page in a browser on the same machine must not be able to, which says its origin with what it
 * sends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <adit/log.h>
#include <adit/plugin.h>

#include "core/service/component.h"
#include "core/service/desk.h"
#include "core/service/inquiry.h"
#include "core/service/page.h"
#include "core/service/service.h"

#define BODY_MAX (1u << 20)

struct api_handler {
	struct adit_handler	base;
	struct page_site	site;
	char			*prefix;
	bool			access_log;
};

static const char *const prefix_aliases[] = { "api.pathPrefix", NULL };
static const char *const log_aliases[] = { "api.accessLog", NULL };

#define AT(f) offsetof(struct api_handler, f)
static const struct adit_opt api_opts[] = {
	{ .name = "pathPrefix", .aliases = prefix_aliases, .type = ADIT_OPT_STRING,
	  .offset = AT(prefix), .help = "in front of all paths, as /admin" },
	{ .name = "accesslog", .aliases = log_aliases, .type = ADIT_OPT_BOOL,
	  .offset = AT(access_log), .help = "writes a line for each request" },
	ADIT_OPT_END,
};

static struct api_handler *
api_of(const struct page *p)
{
	return adit_container_of(p->site, struct api_handler, site);
}

static bool
api_asks(const struct page *p)
{
	return gate_asks(&p->site->component->gate);
}

/* p's path below the prefix, without slashes around it; NULL: it is not there. */
static const char *
api_path(const struct page *p)
{
	const char *prefix = api_of(p)->prefix;
	size_t len = prefix ? strlen(prefix) : 0;

	if (len && strncmp(p->path, prefix, len) != 0)
		return NULL;
	return p->path[len] == '/' ? p->path + len + 1 : NULL;
}

static bool
path_is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return path && strncmp(path, top, len) == 0 && (!path[len] || path[len] == '/');
}

/* ---- answers ------------------------------------------------------------------------- */

static void
api_answer_text(struct page *p, int status, const char *type, const char *text)
{
	char *copy = strdup(text);

	page_answer(p, status, type, copy, copy ? strlen(copy) : 0);
}

static void
api_answer_json(struct page *p, int status, const char *text)
{
	api_answer_text(p, status, "application/json; charset=utf-8", text);
}

static void
api_not_found(struct page *p)
{
	api_answer_text(p, 404, "text/plain; charset=utf-8", "404 page not found");
}

static void
api_denied(struct page *p)
{
	page_field(p, "WWW-Authenticate", "Basic");
	page_field(p, "Access-Control-Allow-Origin", "*");
	api_answer_json(p, 401, "{\"code\":401,\"msg\":\"Unauthorized\"}");
}

/* ---- what takes the main thread ------------------------------------------------------ */

static void
api_answered(struct page *p, struct desk_ask *a)
{
	char *answer = a->answer;

	a->answer = NULL;
	if (a->err)
		api_answer_json(p, 503, "{\"code\":503,\"msg\":\"not now\"}");
	else if (!answer && a->status == 404)
		api_not_found(p);
	else
		page_answer(p, a->status, a->type, answer, a->answer_len);
}

/* The question that p's request is, but for its path. NULL: out of memory. */
static struct desk_ask *
api_ask_new(struct page *p)
{
	struct desk_ask *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->method = strdup(page_method(p));
	a->format = page_query(p, "format");
	a->file = page_query(p, "path");
	a->known = p->known;
	a->body = p->body;
	a->len = p->len;
	p->body = NULL;
	if (a->method)
		return a;
	desk_ask_free(a);
	return NULL;
}

static void
api_ask(struct page *p, const char *path)
{
	struct desk_ask *a = api_ask_new(p);
	size_t len = strlen(path);
	int err = -ENOMEM;

	if (len && path[len - 1] == '/')
		len--;
	if (a)
		a->path = page_decode((struct adit_text){ path, len }, false);
	if (a && a->path)	/* there may be services in the answer to a GET */
		err = inquiry_begin(p, a, strcmp(a->method, "GET") == 0, api_answered);
	else
		desk_ask_free(a);
	if (err)
		page_answer(p, 503, NULL, NULL, 0);
}

/* ---- what is asked for --------------------------------------------------------------- */

static bool
api_guarded(const struct page *p)
{
	return path_is_below(api_path(p), "config") && strcmp(page_method(p), "OPTIONS") != 0;
}

/* Before a browser lets a page of another origin ask. */
static void
api_preflight(struct page *p)
{
	page_field(p, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
	page_field(p, "Access-Control-Allow-Headers", "Authorization, Content-Type");
	page_field(p, "Access-Control-Max-Age", "43200");
	page_answer(p, 204, NULL, NULL, 0);
}

/*
 * Whether p's request names this machine by an address. A page may have its own name lead here
 * once it is loaded, and is then of this origin for its browser; no address can be made to. None
 * is no browser's, and so is what comes to a UNIX socket.
 */
static bool
api_is_named_by_address(const struct page *p)
{
	struct adit_text authority = adit_fields_control(p->head, ADIT_AUTHORITY);
	char host[ADIT_ADDR_TEXT];
	struct adit_addr addr;
	uint16_t port;

	if (!authority.len || p->visitor.remote.family == AF_UNIX)
		return true;
	if (adit_hostport_split(authority.s, host, sizeof(host), &port) < 0)
		return false;
	return strcasecmp(host, "localhost") == 0 || adit_addr_parse(host, port, &addr) == 0;
}

/* Whether p's request is none that a page in a browser may have made; or answers it. */
static bool
api_is_trusted(struct page *p)
{
	if (api_asks(p))
		return true;
	if (adit_fields_get(p->head, "Origin").s)
		api_answer_json(p, 403, "{\"code\":403,\"msg\":\"pages of other origins need "
					"an API with credentials\"}");
	else if (!api_is_named_by_address(p))
		api_answer_json(p, 403, "{\"code\":403,\"msg\":\"an API without credentials is "
					"asked for by its address, or as localhost\"}");
	else
		return true;
	return false;
}

static void
api_serve(struct page *p)
{
	const char *path = api_path(p);

	if (!api_is_trusted(p))
		return;
	if (api_asks(p))
		page_field(p, "Access-Control-Allow-Origin", "*");
	if (strcmp(page_method(p), "OPTIONS") == 0)
		api_preflight(p);
	else if (path_is_below(path, "config"))
		api_ask(p, path);
	else if (path && strcmp(path, "health") == 0 && strcmp(page_method(p), "GET") == 0)
		api_answer_json(p, 200, "{\"msg\":\"OK\"}");
	else
		api_not_found(p);
}

/* ---- life ---------------------------------------------------------------------------- */

static void
api_handle(struct adit_handler *h, struct adit_conn *c)
{
	page_serve(c, &adit_container_of(h, struct api_handler, base)->site);
}

static int
api_init(struct adit_handler *h, struct adit_err *e)
{
	struct api_handler *api = adit_container_of(h, struct api_handler, base);
	size_t len = api->prefix ? strlen(api->prefix) : 0;

	api->site = (struct page_site){
		.kind = "api", .component = h->component, .body_max = BODY_MAX,
		.access_log = api->access_log, .guarded = api_guarded, .denied = api_denied,
		.serve = api_serve, .cancel = inquiry_cancel,
	};
	desk_want_counts(h->component->desk);
	if (len && *api->prefix != '/')
		return adit_err_set(e, ADIT_ECONFIG, "pathPrefix: must begin with a /");
	if (len && api->prefix[len - 1] == '/')
		api->prefix[len - 1] = '\0';
	return 0;
}

/* Whether others than this machine's own get there. */
static bool
is_public(const struct service_conf *conf)
{
	char host[256];
	uint16_t port;

	if (strcmp(conf->listener->type, "unix") == 0 ||
	    adit_hostport_split(conf->addr, host, sizeof(host), &port) < 0)
		return false;
	return strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0 &&
	       strcasecmp(host, "localhost") != 0;
}

static int
api_open(struct adit_handler *h, struct adit_err *e)
{
	const struct service_conf *conf = service_conf_of(h->component->service);

	(void)e;
	if (is_public(conf) && !gate_asks(&h->component->gate))
		adit_log(adit_component_log(h->component), ADIT_LOG_WARN,
			 ADIT_FIELDS(ADIT_STR("kind", "api"), ADIT_STR("service", conf->name)),
			 "whoever reaches %s may change the configuration: give the API auth",
			 conf->addr);
	return 0;
}

const struct adit_handler_ops handler_api = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(handler_api),
		.kind = ADIT_HANDLER,
		.name = "api",
		.help = "the configuration of the running process, over HTTP",
		.instance = sizeof(struct api_handler),
		.opts = api_opts,
	},
	.authenticates = true,
	.handle = api_handle,
	.init = api_init,
	.open = api_open,
};
