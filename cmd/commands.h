/*
 * Subcommands: one function each, found by name. Exit status: 0 fine, 1 it could not be done, 2
 * wrong usage or configuration.
 */
#ifndef ADIT_CMD_COMMANDS_H
#define ADIT_CMD_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "core/config/model.h"
#include "core/service/registry.h"

struct command {
	const char	*name;
	const char	*args;		/* for the usage */
	const char	*help;		/* one line */
	int		(*run)(int argc, char **argv);	/* argv[0] is the name */
};

/* The subcommand of that name, or NULL. */
const struct command *command_find(const char *name);

/* The i-th, or NULL. */
const struct command *command_at(unsigned i);

/* What the daemon's flags say. */
struct flags {
	struct config_args	 args;		/* lists: the parser's, freed by flags_fini */
	const char		*output;	/* -O: "yaml" or "json"; NULL: run */
	bool			 version, help;
	uint64_t		 reload;	/* -R, ns */
	unsigned		 workers;	/* --workers; 0: one per core */
	uint64_t		 memory;	/* --memory; 0: not given */
	uint64_t		 drain;		/* --drain, ns */
	const char		*state_dir;	/* --state-dir */
};

/*
 * Reads gost's flags and ours; files: a word that is no flag is one more -C. 0, or 2 after a
 * message on stderr.
 */
int flags_read(struct flags *f, int argc, char **argv, bool files);
void flags_fini(struct flags *f);	/* the words themselves stay argv's; also after a failure */
void flags_usage(FILE *out);		/* all flags and subcommands, with a line of help each */

/*
 * Without a subcommand: run the daemon until it is stopped, or print what was asked for. Returns
 * the exit status: 0; 1 where it could not be done; 2 for wrong usage or configuration.
 */
int command_run(int argc, char **argv);

#endif
