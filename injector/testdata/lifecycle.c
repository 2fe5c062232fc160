/* Processes that start and end what they consist of, without pause:
 *   lifecycle threads   four threads that start one after the other, and join it
 *   lifecycle forks     children that call, and end
 *   lifecycle shares    children in the same memory that are no threads and call
 *   lifecycle execs N   the program itself, and another, until "x" is said N times
 * The byte 's' asks for how many there were, and 0. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static volatile long count;

/* What answer() gives must be one of the two at any time. */
static int right(void)
{
	int a = answer();
	return a == 1 || a == 2;
}

static void *moment(void *arg)
{
	if (!right())
		fail("answer");
	return arg;
}

static void *starts_threads(void *arg)
{
	pthread_t t;
	for (;; __sync_fetch_and_add(&count, 1)) {
		if (pthread_create(&t, NULL, moment, NULL))
			fail("pthread_create");
		pthread_join(t, NULL);
	}
	return arg;
}

static void *starts_children(void *arg)
{
	for (;; __sync_fetch_and_add(&count, 1)) {
		int status;
		pid_t child = fork();
		if (child == 0)
			_exit(right() ? 0 : 7);
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			fail("child");
	}
	return arg;
}

static int shares(void *arg)
{
	for (int i = 0; i < 10000; i++)
		if (!right())
			_exit(7);
	(void)arg;
	return 0;
}

static void *starts_sharers(void *arg)
{
	const size_t size = 64 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (;; __sync_fetch_and_add(&count, 1)) {
		int status;
		pid_t child = clone(shares, stack + size, CLONE_VM | SIGCHLD, NULL);
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			fail("child");
	}
	return arg;
}

static void talk(void)
{
	char byte;
	ssize_t n;
	while ((n = read(0, &byte, 1)) == 1)
		if (byte == 's')
			dprintf(1, "%ld 0\n", count);
		else
			say_answer();
	_exit(n < 0);
}

/* One program after the other, in one process. A byte that waits is answered;
 * "stay" ends it. */
static void execs(char **argv)
{
	char byte, number[32];
	long n = strtol(argv[2], NULL, 10);
	if (n == 0)
		dprintf(1, "ready\n");
	for (long start = microseconds(); microseconds() - start < 5000; )
		if (!right())
			fail("answer");
	fcntl(0, F_SETFL, O_NONBLOCK);
	ssize_t got = read(0, &byte, 1);
	if (got == 1) {
		fcntl(0, F_SETFL, 0);
		count = n;
		dprintf(1, "%ld 0\n", n);
		talk();
	}
	snprintf(number, sizeof number, "%ld", n + 1);
	if (n % 2)
		execl(argv[0], argv[0], "execs", number, (char *)NULL);
	/* Another program, in between, that has not got the library. */
	execl("/bin/sh", "sh", "-c", "exec \"$0\" execs \"$1\"", argv[0], number, (char *)NULL);
	fail("exec");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	pthread_t t;
	if (argc > 2)
		execs(argv);
	void *(*start)(void *) = !strcmp(mode, "threads") ? starts_threads : !strcmp(mode, "forks") ? starts_children :
		starts_sharers;
	for (int i = 0; i < (start == starts_threads ? 4 : 2); i++)
		if (pthread_create(&t, NULL, start, NULL))
			fail("pthread_create");
	dprintf(1, "ready\n");
	talk();
}
