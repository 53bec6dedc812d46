/*
 * Ingress rules: host name to tunnel. Built once, then read only, by any thread. A rule names one
 * host, or with a leading dot (or "*.") a host and everything below it. The longest match wins;
 * case and ports do not count.
 */
#ifndef ADIT_CORE_RULES_H
#define ADIT_CORE_RULES_H

#include <adit/plugin.h>

struct rules;

struct rules *rules_new(void);		/* empty; NULL: out of memory */
void rules_free(struct rules *r);		/* NULL is fine */

/* Adds a rule for "host", ".host", "*.host" or "[v6]". A later rule for the same name replaces the
 * earlier one. 0, -EINVAL with e filled, -ENOMEM. */
int rules_set(struct rules *r, const char *host, const struct adit_rule *rule, struct adit_err *e);

/* Adds "host:uuid,host:uuid" (the option `tunnel`). 0, -ENOMEM, or -EINVAL with e filled: no such
 * list, or a host that has a rule. */
int rules_add_list(struct rules *r, const char *list, struct adit_err *e);

/* Whether such a list can be added: a check for its option row. */
int rules_check_list(const char *list, struct adit_err *e);

/* Adds lines "host endpoint", "#" comments and blank lines; a bad line is refused by number, and
 * not quoted. Of two lines for one host the later counts. 0, -EINVAL with e filled, -ENOMEM. */
int rules_add_text(struct rules *r, const char *text, struct adit_err *e);

/* How many lines of the last text had a host of an earlier one; first and again are the numbers of
 * the first such two. */
unsigned rules_repeated(const struct rules *r, unsigned *first, unsigned *again);

/* Adds all of another set's, over what r has. 0 or -ENOMEM: some of them. */
int rules_merge(struct rules *r, const struct rules *from);

/* The rule for a normalised host name. 0 or ADIT_ENOROUTE. */
int rules_find(const struct rules *r, const char *host, struct adit_rule *out);

/* How many names have a rule. */
size_t rules_count(const struct rules *r);

#endif
