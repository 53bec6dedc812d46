/*
 * The daemon: workers, the present configuration and what was made of it, signals, reload, the
 * clean stop. One per process, all in the main thread.
 */
#ifndef ADIT_CORE_DAEMON_H
#define ADIT_CORE_DAEMON_H

#include "core/config/model.h"
#include "core/service/registry.h"

struct daemon_conf {
	const struct registry		*registry;
	const struct config_kinds	*kinds;
	struct config_args		 args;		/* the configuration; read at reloads too */
	unsigned			 workers;	/* 0: one per core */
	uint64_t			 memory;	/* bytes; 0: half of the machine's */
	uint64_t			 drain;		/* ns for what goes on to end by itself */
	uint64_t			 reload;	/* ns between two by themselves; 0: none */
};

/*
 * Runs until a signal ends it: SIGTERM and SIGINT drain and stop (a second one at once), SIGHUP
 * reloads. config is the first configuration (its reference is taken). Returns the exit status: 0;
 * 2 where the configuration is wrong, with every reason on stderr; 1 where it could not be started
 * as it is (an address is taken), with fatal lines in the log.
 */
int daemon_run(const struct daemon_conf *conf, struct config *config);

/*
 * Makes everything that config asks for without opening a socket. 0, or a failure with every reason
 * in errs. Main thread, of a process that runs no daemon.
 */
int daemon_check(const struct registry *registry, struct config *config,
		 struct config_errors *errs);

#endif
