#include "bench/modes.h"

#include <err.h>
#include <string.h>

volatile sig_atomic_t modes_stop;

static void
on_term(int sig)
{
	(void)sig;
	modes_stop = 1;
}

int
modes_run(const struct mode *modes, int argc, char **argv, const char *file)
{
	const struct sigaction term = { .sa_handler = on_term };

	sigaction(SIGTERM, &term, NULL);
	for (; argc > 1 && modes->name; modes++) {
		if (strcmp(modes->name, argv[1]) || argc - 2 < modes->least ||
		    argc - 2 > modes->most)
			continue;
		modes->run(argv + 2);
		return 0;
	}
	errx(2, "usage: see the head of %s", file);
}
