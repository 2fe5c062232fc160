/* A process that calls answer() in several threads and says what it answers:
 *   target BUSY IDLE
 * BUSY threads call without pause, IDLE threads call after every byte that a
 * pipe gives them. A line "TID ANSWER" is written whenever a thread's answer
 * changes. On standard input: a line makes every idle thread call once; end of
 * file ends the process. "ready" is written when all threads have called. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int answer(void);
int second(int);

static int idle_pipe[2];
static pthread_barrier_t called;

static int combined(void) { return 1000 * answer() + second(0); }

static void say(int *last, int now)
{
	char line[64];
	if (*last == now)
		return;
	*last = now;
	int n = snprintf(line, sizeof line, "%ld %d\n", syscall(SYS_gettid), now);
	if (write(1, line, n) != n)
		_exit(3);
}

/* One call only, since a change may come between two; the number is the one
 * that combined() gives. */
static int single(void)
{
	int a = answer();
	return a == 1 ? 1001 : 1010 * a;
}

static void *busy(void *arg)
{
	int last = -1;
	say(&last, single());
	pthread_barrier_wait(&called);
	for (;;)
		say(&last, single());
	return arg;
}

static void *idle(void *arg)
{
	int last = -1;
	char byte;
	say(&last, combined());
	pthread_barrier_wait(&called);
	while (read(idle_pipe[0], &byte, 1) == 1)
		say(&last, combined());
	_exit(4); /* an interrupted read must have been restarted */
	return arg;
}

int main(int argc, char **argv)
{
	int nbusy = argc > 1 ? atoi(argv[1]) : 0, nidle = argc > 2 ? atoi(argv[2]) : 0;
	char byte;
	int last = -1;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	if (pipe(idle_pipe))
		return 2;
	pthread_barrier_init(&called, NULL, nbusy + nidle + 1);
	for (int i = 0; i < nbusy + nidle; i++) {
		pthread_t t;
		if (pthread_create(&t, &attr, i < nbusy ? busy : idle, NULL))
			return 2;
	}
	pthread_barrier_wait(&called);
	say(&last, combined());
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		for (int i = 0; i < nidle; i++)
			if (write(idle_pipe[1], "x", 1) != 1)
				return 2;
		say(&last, combined());
		dprintf(1, "called\n");
	}
	return 0;
}
