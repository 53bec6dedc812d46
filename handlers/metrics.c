/*
 * Handler `metrics`: what was counted, for Prometheus. `metrics` at the top of a configuration is a
 * service with this handler.
 */
#include <stdlib.h>
#include <string.h>

#include <adit/plugin.h>

#include "core/runtime/memory.h"
#include "core/runtime/worker.h"
#include "core/service/component.h"
#include "core/service/desk.h"
#include "core/service/inquiry.h"
#include "core/service/metrics.h"
#include "core/service/page.h"
#include "core/tunnel/table.h"

struct metrics_handler {
	struct adit_handler	base;
	struct page_site	site;
	char			*path;
};

static const char *const path_aliases[] = { "metrics.path", NULL };

static const struct adit_opt metrics_opts[] = {
	{ .name = "path", .aliases = path_aliases, .type = ADIT_OPT_STRING,
	  .offset = offsetof(struct metrics_handler, path), .def = "/metrics",
	  .help = "where they are; anything else is 404" },
	ADIT_OPT_END,
};

static struct metrics_handler *
metrics_of(const struct page *p)
{
	return adit_container_of(p->site, struct metrics_handler, site);
}

static bool
metrics_guarded(const struct page *p)
{
	return strcmp(p->path, metrics_of(p)->path) == 0;
}

static void
metrics_denied(struct page *p)
{
	page_field(p, "WWW-Authenticate", "Basic");
	page_answer(p, 401, NULL, NULL, 0);
}

static void
metrics_told(struct page *p, struct desk_ask *a)
{
	struct adit_worker *w = adit_conn_worker(&p->x->body);
	const struct memory *memory = worker_memory(w);
	const struct tunnel_worker *tunnels = tunnels_of(w);
	const struct metrics_more more = {
		.counts = desk_counts(p->site->component->desk), .workers = adit_worker_count(w),
		.memory_used = memory_used(memory), .memory_budget = memory_budget(memory),
		.tunnels = tunnels ? tunnels_count(tunnels) : 0,
		.states = !a->err && !a->status, .ready = a->ready, .running = a->running,
	};
	size_t len = 0;
	char *text = a->book ? metrics_text(a->book, &more, &len) : NULL;

	if (text)
		page_answer(p, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
	else
		page_answer(p, 503, NULL, NULL, 0);
}

static void
metrics_ask(struct page *p)
{
	struct desk_ask *a = calloc(1, sizeof(*a));

	if (!a || inquiry_begin(p, a, true, metrics_told) < 0)
		page_answer(p, 503, NULL, NULL, 0);
}

static void
metrics_serve(struct page *p)
{
	const char *method = page_method(p);

	if (!metrics_guarded(p)) {
		page_answer(p, 404, NULL, NULL, 0);
	} else if (strcmp(method, "OPTIONS") == 0) {
		page_field(p, "Allow", "GET, OPTIONS");
		page_answer(p, 204, NULL, NULL, 0);
	} else if (strcmp(method, "GET") != 0) {
		page_field(p, "Allow", "GET, OPTIONS");
		page_answer(p, 405, NULL, NULL, 0);
	} else {
		metrics_ask(p);
	}
}

static void
metrics_handle(struct adit_handler *h, struct adit_conn *c)
{
	page_serve(c, &adit_container_of(h, struct metrics_handler, base)->site);
}

static int
metrics_init(struct adit_handler *h, struct adit_err *e)
{
	struct metrics_handler *m = adit_container_of(h, struct metrics_handler, base);

	m->site = (struct page_site){
		.kind = "metrics", .component = h->component, .guarded = metrics_guarded,
		.denied = metrics_denied, .serve = metrics_serve, .cancel = inquiry_cancel,
	};
	desk_want_counts(h->component->desk);
	if (*m->path != '/')
		return adit_err_set(e, ADIT_ECONFIG, "path: must begin with a /");
	return 0;
}

const struct adit_handler_ops handler_metrics = {
	.base = {
		.abi = ADIT_ABI,
		.size = sizeof(handler_metrics),
		.kind = ADIT_HANDLER,
		.name = "metrics",
		.help = "what was counted, for Prometheus",
		.instance = sizeof(struct metrics_handler),
		.opts = metrics_opts,
	},
	.authenticates = true,
	.handle = metrics_handle,
	.init = metrics_init,
};
