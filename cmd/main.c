/*
 * The program: gost's command line, and a few subcommands.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/commands.h"

int
main(int argc, char **argv)
{
	const struct command *command = argc > 1 ? command_find(argv[1]) : NULL;

	if (command)
		return command->run(argc - 1, argv + 1);
	return command_run(argc, argv);
}
