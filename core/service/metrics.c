#include "core/service/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <adit/addr.h>

#include "core/service/desk.h"

/* A text that is being written. */
struct text {
	FILE				*f;
	const struct tally_book		*book;
	const struct metrics_more	*more;
	char				 host[256];	/* the label that gost gives all */
	const char			*name;		/* of the family that is being written */
};

static void
family(struct text *t, const char *name, const char *type, const char *help)
{
	t->name = name;
	fprintf(t->f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name="value": with what the format asks to be escaped. */
static void
label(struct text *t, const char *name, const char *value)
{
	fprintf(t->f, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", t->f);
		else if (*value == '"' || *value == '\\')
			fprintf(t->f, "\\%c", *value);
		else
			fputc(*value, t->f);
	}
	fputs("\"", t->f);
}

/* name_suffix{host="...": then more labels, and sample_end. */
static void
sample_begin(struct text *t, const char *suffix)
{
	fprintf(t->f, "%s%s{", t->name, suffix);
	label(t, "host", t->host);
}

static void
sample_label(struct text *t, const char *name, const char *value)
{
	fputc(',', t->f);
	label(t, name, value);
}

static void
sample_end(struct text *t, uint64_t value)
{
	fprintf(t->f, "} %" PRIu64 "\n", value);
}

static void
plain(struct text *t, uint64_t value)
{
	fprintf(t->f, "%s %" PRIu64 "\n", t->name, value);
}

/* ---- services ------------------------------------------------------------------------ */

static const struct tally_service *
next_service(const struct text *t, size_t *slot, const struct tally_service *s)
{
	s = s ? s->next : t->book->services[*slot];
	while (!s && ++*slot < TALLY_SLOTS)
		s = t->book->services[*slot];
	return s;
}

#define EACH_SERVICE(t, s) \
	size_t slot_ = 0; \
	for (const struct tally_service *s = next_service(t, &slot_, NULL); s; \
	     s = next_service(t, &slot_, s))

/* What is beyond the bounds of a book has a name that nobody can have. */
static const char *
known(const char *name)
{
	return *name ? name : "(other)";
}

enum client_value { CLIENT_BEGUN, CLIENT_OPEN, CLIENT_IN, CLIENT_OUT, CLIENT_FAILED };

static uint64_t
client_value(const struct tally_client *c, enum client_value which)
{
	switch (which) {
	case CLIENT_BEGUN:
		return c->begun;
	case CLIENT_OPEN:
		return c->open;
	case CLIENT_IN:
		return c->traffic.in;
	case CLIENT_OUT:
		return c->traffic.out;
	case CLIENT_FAILED:
		return c->failed;
	}
	return 0;
}

static void
write_clients(struct text *t, enum client_value which)
{
	char address[ADIT_ADDR_TEXT];

	EACH_SERVICE(t, s) {
		for (size_t i = 0; i < TALLY_CLIENT_SLOTS; i++)
			for (const struct tally_client *c = s->clients[i]; c; c = c->next) {
				sample_begin(t, "");
				sample_label(t, "service", known(s->name));
				sample_label(t, "client", c->addr.family ?
					     adit_addr_format_ip(&c->addr, address) : "(other)");
				sample_end(t, client_value(c, which));
			}
	}
}

/* What all buckets, the sum and the number have in common is given by two pairs of labels. */
static void
write_times(struct text *t, const struct tally_times *times, const unsigned *bounds,
	    const char *const labels[4])
{
	static const char *const suffixes[] = { "_bucket", "_sum", "_count" };
	uint64_t n = 0;
	char le[32];

	for (size_t i = 0;; i++) {
		n += times->n[i];
		snprintf(le, sizeof(le), "%g", bounds[i] / 1000.0);
		sample_begin(t, suffixes[0]);
		for (size_t k = 0; k < 4 && labels[k]; k += 2)
			sample_label(t, labels[k], labels[k + 1]);
		sample_label(t, "le", bounds[i] ? le : "+Inf");
		sample_end(t, n);
		if (!bounds[i])
			break;
	}
	for (size_t i = 1; i < 3; i++) {
		sample_begin(t, suffixes[i]);
		for (size_t k = 0; k < 4 && labels[k]; k += 2)
			sample_label(t, labels[k], labels[k + 1]);
		if (i == 2)
			sample_end(t, n);
		else
			fprintf(t->f, "} %.9g\n", (double)times->total / 1e9);
	}
}

static void
write_service_times(struct text *t)
{
	EACH_SERVICE(t, s) {
		const char *const labels[4] = { "service", known(s->name) };

		if (s->n_clients)
			write_times(t, &s->times, tally_service_bounds, labels);
	}
}

static void
write_services(struct text *t)
{
	family(t, "gost_services", "gauge", "Current number of services");
	sample_begin(t, "");
	sample_end(t, t->more->counts ? atomic_load(&t->more->counts->services) : 0);
	family(t, "gost_service_requests_total", "counter", "Total number of requests");
	write_clients(t, CLIENT_BEGUN);
	family(t, "gost_service_requests_in_flight", "gauge", "Current in-flight requests");
	write_clients(t, CLIENT_OPEN);
	family(t, "gost_service_request_duration_seconds", "histogram",
	       "Distribution of request latencies");
	write_service_times(t);
	family(t, "gost_service_transfer_input_bytes_total", "counter",
	       "Total service input data transfer size in bytes");
	write_clients(t, CLIENT_IN);
	family(t, "gost_service_transfer_output_bytes_total", "counter",
	       "Total service output data transfer size in bytes");
	write_clients(t, CLIENT_OUT);
	family(t, "gost_service_handler_errors_total", "counter", "Total service handler errors");
	write_clients(t, CLIENT_FAILED);
}

static void
write_states(struct text *t)
{
	const struct { const char *state; unsigned n; } states[] = {
		{ "ready", t->more->ready }, { "running", t->more->running },
	};

	family(t, "gost_service_status", "gauge", "Number of services in each state");
	for (size_t i = 0; t->more->states && i < sizeof(states) / sizeof(*states); i++) {
		sample_begin(t, "");
		sample_label(t, "state", states[i].state);
		sample_end(t, states[i].n);
	}
}

static void
write_records(struct text *t)
{
	const struct desk_counts *counts = t->more->counts;
	const struct desk_record *r = counts ? atomic_load(&counts->records) : NULL;

	family(t, "gost_recorder_records_total", "counter",
	       "Total records written by recorder");
	for (; r; r = r->next) {
		uint64_t n = atomic_load_explicit(&r->n, memory_order_relaxed);

		if (!n)
			continue;
		sample_begin(t, "");
		sample_label(t, "recorder", r->name);
		sample_end(t, n);
	}
}

/* ---- chains -------------------------------------------------------------------------- */

static void
write_nodes(struct text *t, bool failed)
{
	for (size_t i = 0; i < TALLY_SLOTS; i++)
		for (const struct tally_node *n = t->book->nodes[i]; n; n = n->next) {
			const char *const labels[4] = { "chain", known(n->chain), "node",
							known(n->node) };

			if (!failed) {
				write_times(t, &n->times, tally_node_bounds, labels);
				continue;
			}
			sample_begin(t, "");
			sample_label(t, labels[0], labels[1]);
			sample_label(t, labels[2], labels[3]);
			sample_end(t, n->failed);
		}
}

static void
write_chains(struct text *t)
{
	family(t, "gost_chain_node_connect_duration_seconds", "histogram",
	       "Distribution of chain node connect latencies");
	write_nodes(t, false);
	family(t, "gost_chain_errors_total", "counter", "Total chain errors");
	write_nodes(t, true);
}

/* ---- tunnels ------------------------------------------------------------------------- */

static void
write_sessions(struct text *t)
{
	family(t, "adit_tunnel_sessions", "gauge", "Sessions of tunnel clients that are bound");
	EACH_SERVICE(t, s) {
		sample_begin(t, "");
		sample_label(t, "service", known(s->name));
		sample_end(t, s->sessions > 0 ? (uint64_t)s->sessions : 0);
	}
}

static void
write_refusals(struct text *t)
{
	family(t, "adit_tunnel_refusals_total", "counter",
	       "Visitors and clients of tunnels that were not served, by reason");
	EACH_SERVICE(t, s) {
		for (unsigned i = 0; i < TALLY_REASONS; i++) {
			if (!s->refused[i])
				continue;
			sample_begin(t, "");
			sample_label(t, "service", known(s->name));
			sample_label(t, "reason", tally_reason_name((enum tally_reason)i));
			sample_end(t, s->refused[i]);
		}
	}
}

static void
write_statuses(struct text *t)
{
	char code[16];

	family(t, "adit_http_responses_total", "counter",
	       "Responses to HTTP requests at entry points, by status");
	EACH_SERVICE(t, s) {
		for (unsigned i = 0; s->statuses && i < TALLY_STATUSES; i++) {
			if (!s->statuses[i])
				continue;
			snprintf(code, sizeof(code), "%u", i + TALLY_STATUS_MIN);
			sample_begin(t, "");
			sample_label(t, "service", known(s->name));
			sample_label(t, "code", code);
			sample_end(t, s->statuses[i]);
		}
	}
}

static void
write_tunnels(struct text *t)
{
	family(t, "adit_tunnels", "gauge", "Tunnels that have a client");
	plain(t, t->more->tunnels);
	write_sessions(t);
	write_refusals(t);
	write_statuses(t);
}

/* ---- the process --------------------------------------------------------------------- */

static void
write_adit(struct text *t)
{
	const struct desk_counts *counts = t->more->counts;

	family(t, "adit_build_info", "gauge", "The version that runs");
	fprintf(t->f, "%s{", t->name);
	label(t, "version", ADIT_VERSION);
	sample_end(t, 1);
	family(t, "adit_workers", "gauge", "Worker threads");
	plain(t, t->more->workers);
	family(t, "adit_memory_used_bytes", "gauge", "Memory that counts towards the budget");
	plain(t, t->more->memory_used);
	family(t, "adit_memory_budget_bytes", "gauge", "The budget");
	plain(t, t->more->memory_budget);
	if (!counts)
		return;
	family(t, "adit_reloads_total", "counter",
	       "Configurations since the start, by whether they were taken");
	fprintf(t->f, "%s{result=\"taken\"} %" PRIu64 "\n", t->name,
		atomic_load(&counts->reloads));
	fprintf(t->f, "%s{result=\"refused\"} %" PRIu64 "\n", t->name,
		atomic_load(&counts->refused));
	family(t, "adit_configuration_time_seconds", "gauge",
	       "When the configuration that is in force was taken, in Unix time");
	plain(t, (uint64_t)atomic_load(&counts->changed));
}

static double
seconds_of(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* Of /proc/self/statm, in bytes: the whole (0) or the resident part (1). */
static uint64_t
memory_of_process(int which)
{
	unsigned long long pages[2] = { 0, 0 };
	FILE *f = fopen("/proc/self/statm", "re");

	if (f) {
		if (fscanf(f, "%llu %llu", &pages[0], &pages[1]) != 2)
			pages[0] = pages[1] = 0;
		fclose(f);
	}
	return pages[which] * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t
open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n > 3 ? n - 3 : 0;	/* ".", "..", and the one that is read by */
}

/* The standard ones of Prometheus' own clients. */
static void
write_process(struct text *t)
{
	struct rusage usage;
	struct rlimit files;

	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		family(t, "process_cpu_seconds_total", "counter",
		       "Total user and system CPU time spent in seconds");
		fprintf(t->f, "%s %.6f\n", t->name,
			seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
	}
	family(t, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes");
	plain(t, memory_of_process(1));
	family(t, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes");
	plain(t, memory_of_process(0));
	family(t, "process_open_fds", "gauge", "Number of open file descriptors");
	plain(t, open_descriptors());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		family(t, "process_max_fds", "gauge", "Maximum number of open file descriptors");
		plain(t, files.rlim_cur);
	}
}

char *
metrics_text(const struct tally_book *book, const struct metrics_more *more, size_t *len)
{
	struct text t = { .book = book, .more = more };
	char *out = NULL;
	bool failed;

	t.f = open_memstream(&out, len);
	if (!t.f)
		return NULL;
	if (gethostname(t.host, sizeof(t.host) - 1) < 0)
		*t.host = '\0';
	write_services(&t);
	write_states(&t);
	write_records(&t);
	write_chains(&t);
	write_tunnels(&t);
	write_adit(&t);
	write_process(&t);
	failed = ferror(t.f);
	if (fclose(t.f) == 0 && !failed)
		return out;
	free(out);
	return NULL;
}
