// SPDX-License-Identifier: Apache-2.0
/*
 * Many small processes that only sleep.
 *
 * crowd KIB VARIETY COUNT <DIRS
 *
 * Starts COUNT processes in each cgroup directory of its input (up to an
 * empty line), one in each before the second in any, so that neighbours in
 * the kernel's task list are never neighbours in a cgroup. Each touches KIB
 * of memory and up to VARIETY - 1 pages more. Prints "ready" when all hold
 * their memory, and ends at the end of its input.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void write_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, score, strlen(score)) < 0)
		err(3, "oom_score_adj");
	close(fd);
}

static void hold(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(3, "mmap");
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 1, size);
}

static void start(const char *dir, size_t size, int done)
{
	int cgroup = open(dir, O_RDONLY | O_DIRECTORY);
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup,
	};
	long pid;

	if (cgroup < 0)
		err(3, "%s", dir);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		err(3, "clone3 into %s", dir);
	if (!pid) {
		if (size)
			hold(size);
		if (write(done, "", 1) != 1)
			err(3, "pipe");
		for (;;)
			pause();
	}
	close(cgroup);
}

static size_t read_dirs(char ***dirs)
{
	char *line = NULL;
	size_t room = 0, count = 0;

	*dirs = NULL;
	while (getline(&line, &room, stdin) > 1) {
		line[strcspn(line, "\n")] = 0;
		*dirs = reallocarray(*dirs, count + 1, sizeof(**dirs));
		if (!*dirs)
			err(3, "reallocarray");
		(*dirs)[count++] = line;
		line = NULL;
	}
	return count;
}

static void wait_for(int done, size_t left)
{
	char bytes[4096];

	while (left) {
		ssize_t got = read(done, bytes, sizeof(bytes) < left ? sizeof(bytes) : left);

		if (got <= 0)
			errx(3, "a process ended before it was ready");
		left -= got;
	}
}

int main(int argc, char **argv)
{
	size_t count, size, variety, dir_count;
	long page = sysconf(_SC_PAGESIZE);
	char **dirs;
	int done[2];

	if (argc != 4)
		errx(2, "usage: crowd KIB VARIETY COUNT <DIRS");
	size = (size_t)atoi(argv[1]) << 10;
	variety = atoi(argv[2]);
	count = atoi(argv[3]);
	/* The kernel reaps the children, so that none becomes a zombie. */
	signal(SIGCHLD, SIG_IGN);
	if (pipe(done))
		err(3, "pipe");
	dir_count = read_dirs(&dirs);

	/* Children inherit this. The guest's program is at -1000, and this process is again when all have started. */
	write_score("0");
	for (size_t i = 0; i < count; i++)
		for (size_t d = 0; d < dir_count; d++)
			start(dirs[d], size + rand() % variety * page, done[1]);
	write_score("-1000");
	close(done[1]);
	wait_for(done[0], count * dir_count);

	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
