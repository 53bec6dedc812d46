/*
 * Where a configuration comes from: -C sources in their order, then the -L/-F set, then the
 * environment, then the other flags. Lists are appended, single objects (tls, log, api, metrics,
 * profiling) replaced whole.
 */
#ifndef ADIT_CORE_CONFIG_SOURCE_H
#define ADIT_CORE_CONFIG_SOURCE_H

#include "core/config/kinds.h"
#include "core/config/tree.h"

/* The words of a command line, borrowed. What a reload reads again. */
struct config_args {
	const char *const	*sources;	/* -C: a file, "-", or inline JSON {...} */
	size_t			 n_sources;
	const char *const	*services;	/* -L */
	size_t			 n_services;
	const char *const	*nodes;		/* -F */
	size_t			 n_nodes;
	const char		*api, *metrics;	/* -api, -metrics; NULL: not given */
	bool			 debug, trace;	/* -D, -DD */
	const char		*(*env)(const char *name);	/* NULL: getenv */
	const char		*input;		/* standard input; NULL: "-" reads it */
	size_t			 input_len;
	const char		*input_name;	/* for errors; NULL: "stdin" */
};

/*
 * Reads and merges everything that can be read: what cannot is in errs, and is left out of the root
 * map that is returned. NULL: out of memory, which errs says too.
 */
const struct adit_tree *source_load(struct arena *a, const struct config_args *args,
				    const struct config_kinds *kinds, struct config_errors *errs);

#endif
