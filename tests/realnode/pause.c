// SPDX-License-Identifier: Apache-2.0
/*
 * The first process of a pod: it holds the pod's namespaces, takes in orphans, and ends when it is told to.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal)
{
	_exit(0);
}

static void reap(int signal)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	signal(SIGTERM, end);
	signal(SIGINT, end);
	signal(SIGCHLD, reap);
	for (;;)
		pause();
}
