/*
 * What a program of the benchmark can do, by the first of its arguments, until SIGTERM.
 */
#ifndef ADIT_BENCH_MODES_H
#define ADIT_BENCH_MODES_H

#include <signal.h>

struct mode {
	const char	*name;
	void		(*run)(char **args);	/* those behind the name, ended by NULL */
	int		 least, most;		/* of them */
};

extern volatile sig_atomic_t modes_stop;	/* SIGTERM has come, which ends what waits */

/*
 * Runs that of modes, ended by one without a name, which main's arguments ask for. Another ends the
 * program with the file whose head says which there are. Returns main's status.
 */
int modes_run(const struct mode *modes, int argc, char **argv, const char *file);

#endif
