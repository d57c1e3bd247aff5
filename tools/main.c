/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command.h"

#include <stdlib.h>
#include <unistd.h>

/*
 * Threads of a parallel loop that wait for each other spin for milliseconds by default; on a machine
 * shared with other stages this takes from those the time they all wait for (measured on two busy
 * cores: 2.3 times the time for a frame of `live`, 3.5 for one of `fast`). libgomp reads how long
 * once, when it is loaded: so the program starts once more with a number set.
 */
static void spin_less(char **argv)
{
	if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
		return;
	if (!setenv("GOMP_SPINCOUNT", "1000", 1))
		execv("/proc/self/exe", argv); /* only returns if it could not: then as before */
}

int main(int argc, char **argv)
{
	spin_less(argv);
	return pn_commands_main(argc, argv);
}
