// SPDX-License-Identifier: Apache-2.0
/*
 * A known workload: it holds MIB MiB of touched memory, and obeys lines of stdin.
 *
 * hog [--cgroup DIR] [--adj N] [--cpu N] [--leaderless] [--vfork DIR] [--name COMM] [--crowd N] [--churn]
 *     [--shared] [--vhost] MIB	holds shared memory with --shared, and keeps its oom_score_adj without --adj
 * hog --spin CPU			runs on that CPU at the highest real-time priority
 *
 * It prints "ready" when it holds its memory, and then reads lines:
 *   grow MIB	touches more memory, and prints "grown"
 *   rush N MIB	N threads touch MIB more at the same time, page by page, and print nothing
 *   pour N MIB	touches N MiB a second, evenly, until it has MIB more, and prints nothing
 *   end	exits with status 0, as at the end of file
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How memory is mapped. */
static int kind = MAP_PRIVATE;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(3, "%s", path);
	close(fd);
}

static void enter_cgroup(const char *dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	write_file(path, "0");
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(3, "sched_setaffinity");
}

static void hold(size_t mib)
{
	size_t size = mib << 20;
	long page = sysconf(_SC_PAGESIZE);
	char *memory;

	if (!size)
		return;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(3, "mmap");
	/* Without huge pages the kernel charges each page separately. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += page)
		memory[at] = 1;
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void *hold_for_ever(void *mib)
{
	hold((size_t)mib);
	pause();
	return NULL;
}

static void rush(int threads, size_t mib)
{
	pthread_t thread;

	while (threads--)
		if (pthread_create(&thread, NULL, hold_for_ever, (void *)mib))
			errx(3, "pthread_create");
}

/* Sixteen steps a MiB. A step that comes late does not delay the next ones. */
static void pour(long speed, size_t mib)
{
	const long second = 1000000000, step = second / 16 / speed;
	const size_t part = (1 << 20) / 16, size = mib << 20;
	struct timespec due;
	char *memory;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(3, "mmap");
	madvise(memory, size, MADV_NOHUGEPAGE);
	clock_gettime(CLOCK_MONOTONIC, &due);
	for (size_t at = 0; at < size; at += part) {
		memset(memory + at, 1, part);
		due.tv_nsec += step;
		if (due.tv_nsec >= second) {
			due.tv_nsec -= second;
			due.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	}
}

static void *obey(void *unused)
{
	char line[64];
	size_t mib;
	long speed;
	int threads;

	(void)unused;
	say("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "grow %zu", &mib) == 1) {
			hold(mib);
			say("grown");
		} else if (sscanf(line, "rush %d %zu", &threads, &mib) == 2) {
			rush(threads, mib);
		} else if (sscanf(line, "pour %ld %zu", &speed, &mib) == 2 && speed > 0) {
			pour(speed, mib);
		} else {
			break;
		}
	}
	_exit(0);
}

/* Start processes with almost no memory, which live until their cgroup is killed. */
static void gather(int crowd)
{
	while (crowd--) {
		pid_t pid = fork();

		if (pid < 0)
			err(3, "fork");
		if (pid)
			continue;
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		pause();
	}
}

/* Start and end one process after the other. */
static void *churn_for_ever(void *unused)
{
	(void)unused;
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void churn(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, churn_for_ever, NULL))
		errx(3, "pthread_create");
}

/* End the first thread. The process goes on without it. */
static void obey_without_leader(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, obey, NULL))
		errx(3, "pthread_create");
	pthread_exit(NULL);
}

/* Let a child in the cgroup DIR obey. It shares all memory, and the parent waits for its end. */
static void obey_in_vfork(const char *dir)
{
	if (!vfork()) {
		enter_cgroup(dir);
		prctl(PR_SET_PDEATHSIG, 9);
		obey(NULL);
	}
	_exit(0);
}

/* The device uses the memory of its owner as long as it is open, as that of a virtual machine. */
static void own_vhost(void)
{
	int fd = open("/dev/vhost-vsock", O_RDWR);

	if (fd < 0 || ioctl(fd, VHOST_SET_OWNER))
		err(3, "/dev/vhost-vsock");
}

static void spin(int cpu)
{
	struct sched_param param = { .sched_priority = 99 };

	run_on(cpu);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		err(3, "sched_setscheduler");
	say("ready");
	for (;;)
		;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cgroup", required_argument, NULL, 'g' },
		{ "churn", no_argument, NULL, 'h' },
		{ "adj", required_argument, NULL, 'a' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "crowd", required_argument, NULL, 'w' },
		{ "name", required_argument, NULL, 'n' },
		{ "leaderless", no_argument, NULL, 'l' },
		{ "shared", no_argument, NULL, 'm' },
		{ "spin", required_argument, NULL, 's' },
		{ "vhost", no_argument, NULL, 'o' },
		{ "vfork", required_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const char *adj = NULL, *vfork_dir = NULL;
	int leaderless = 0, crowd = 0, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'g':
			enter_cgroup(optarg);
			break;
		case 'a':
			adj = optarg;
			break;
		case 'c':
			run_on(atoi(optarg));
			break;
		case 'n':
			prctl(PR_SET_NAME, optarg);
			break;
		case 'l':
			leaderless = 1;
			break;
		case 'm':
			kind = MAP_SHARED;
			break;
		case 's':
			spin(atoi(optarg));
			break;
		case 'o':
			own_vhost();
			break;
		case 'h':
			churn();
			break;
		case 'v':
			vfork_dir = optarg;
			break;
		case 'w':
			crowd = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc)
		errx(2, "usage: hog [options] MIB");
	/* The test runner itself has -1000. */
	if (adj)
		write_file("/proc/self/oom_score_adj", adj);
	/* The process dies with the test that started it. */
	prctl(PR_SET_PDEATHSIG, 9);
	gather(crowd);
	hold(atoi(argv[optind]));
	if (leaderless)
		obey_without_leader();
	if (vfork_dir)
		obey_in_vfork(vfork_dir);
	obey(NULL);
}
