/* The fields behind option rows, shared by opt.c and opts.c. */
#ifndef ADIT_CORE_CONFIG_OPT_FIELD_H
#define ADIT_CORE_CONFIG_OPT_FIELD_H

#include <adit/opt.h>

/* Adds a copy. Returns 0 or -ENOMEM with the list unchanged. */
int opt_strings_add(struct adit_strings *list, const char *text, size_t len);
int opt_pairs_add(struct adit_pairs *pairs, const char *name, const char *value);

/* Frees what they own and empties them. */
void opt_strings_fini(struct adit_strings *list);
void opt_pairs_fini(struct adit_pairs *pairs);

#endif
