/*
 * Rules that a program is asked for, one host of a service at a time: gost's ingress plugin over
 * HTTP. What it says is kept for a while, by each worker for itself; those who want one host at the
 * same time share one question. While the program cannot be asked, rules that are known stay, and
 * for other hosts there is no answer.
 */
#ifndef ADIT_CORE_INGRESS_PLUGIN_H
#define ADIT_CORE_INGRESS_PLUGIN_H

#include <adit/log.h>
#include <adit/plugin.h>

struct ingress_conf;
struct ingress_plugin;

/*
 * Of each worker: hosts with a rule that are remembered, hosts without, questions under way; a host
 * counts for each service that it is asked for.
 */
#define INGRESS_KNOWN_MAX 4096
#define INGRESS_UNKNOWN_MAX 1024
#define INGRESS_QUESTIONS_MAX 64
#define INGRESS_ANSWER_MAX 65536	/* bytes of one */

/*
 * That of conf->plugin; takes what it needs out of conf. NULL with e filled: an address that is
 * none, a certificate that cannot be read, no memory. Main thread; blocks on files.
 */
struct ingress_plugin *ingress_plugin_new(struct adit_worker *home,
					  const struct ingress_conf *conf, struct adit_log *log,
					  struct adit_err *e);

/*
 * The rule for a normalised host name at a service: 0; ADIT_ENOROUTE; ADIT_ENORULES: it cannot be
 * asked now; -EAGAIN: it has to be, by ingress_plugin_wait. On w.
 */
int ingress_plugin_find(struct ingress_plugin *p, struct adit_worker *w, const char *service,
			const char *host, struct adit_rule *out);

/*
 * Asks for host, at q's service. 0: q->known is called once there is an answer, or it is clear that
 * there will be none, unless adit_lookup_end(q) before; ADIT_ENORULES: nobody is asked. On w.
 */
int ingress_plugin_wait(struct ingress_plugin *p, struct adit_worker *w, const char *host,
			struct adit_lookup *q);

/*
 * Tells the program that a tunnel is there, which may be reached by host if it likes; what it
 * answers is for its later rules to say. Not done, and logged, counted, while as many questions are
 * under way as may be. On w.
 */
void ingress_plugin_offer(struct ingress_plugin *p, struct adit_worker *w,
			  const struct adit_offer *offer);

/*
 * When nobody asks any more; who waits still is called. Any thread, while all workers live; NULL is
 * fine.
 */
void ingress_plugin_free(struct ingress_plugin *p);

#endif
