/*
 * Ingress rules that change while they are used: what the configuration says, and over it what its
 * sources say (a file, a Redis, a URL), which are read again. Lookups take no lock: they follow one
 * pointer to rules that never change. Or a program is asked, instead of all that.
 */
#ifndef ADIT_CORE_INGRESS_TABLE_H
#define ADIT_CORE_INGRESS_TABLE_H

#include <stdatomic.h>

#include <adit/log.h>
#include <adit/plugin.h>

struct ingress_conf;
struct ingress_table;

#define INGRESS_FILE_MAX (16u << 20)

/*
 * Reads the file, if one is configured, and from now on all of conf->loader, on home and its helper
 * threads (core/source/sources.h). before: the table that it is to replace, whose sources it goes
 * on with where they are the same, or NULL. Takes what it needs out of conf. NULL with e filled:
 * the file cannot be read or is wrong. Later that is no failure: the rules stay as they are, with
 * one warning. Main thread.
 */
struct ingress_table *ingress_table_new(struct adit_worker *home, const struct ingress_conf *conf,
					struct adit_log *log, const struct ingress_table *before,
					struct adit_err *e);

/*
 * The rule for a normalised host name, at the service of that name: 0; ADIT_ENOROUTE;
 * ADIT_ENORULES: there is none so far, and a source has not been read yet, or a plugin does not
 * answer; -EAGAIN: to be waited for. On w, any worker of home's group.
 */
int ingress_table_find(struct ingress_table *t, struct adit_worker *w, const char *service,
		       const char *host, struct adit_rule *out);

/*
 * Of a table that is a plugin (core/tunnel/ingress_plugin.h): as the operations of an ingress. Of
 * another one nothing needs to be waited for, and nothing is offered.
 */
int ingress_table_wait(struct ingress_table *t, struct adit_worker *w, const char *host,
		       struct adit_lookup *q);
void ingress_table_offer(struct ingress_table *t, struct adit_worker *w,
			 const struct adit_offer *offer);

size_t ingress_table_count(const struct ingress_table *t);	/* rules; any worker */

/* When nobody looks up any more, before home ends. Any thread; NULL is fine. */
void ingress_table_free(struct ingress_table *t);

/*
 * An instance of the ingress `rules`. Who makes it sets table, its own then, before init. It may be
 * replaced while workers look up; the old one is freed when each of them has turned once.
 */
struct rules_ingress {
	struct adit_ingress		 base;
	_Atomic(struct ingress_table *)	 table;
};

#endif
