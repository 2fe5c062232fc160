/* A process that calls answer() in several threads and says what it answers:
 *   target BUSY IDLE
 * BUSY threads call without pause, IDLE threads once for every byte on standard
 * input, and so does the main thread; "called" is written when all of these
 * have. A line "TID ANSWER" is written whenever a thread's answer changes.
 * "ready" is written when every thread has called once. End of file ends the
 * process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int answer(void);
int second(int);

#define MAX_IDLE 4096
static int ask[MAX_IDLE][2], done[2];
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
	while (read(*(int *)arg, &byte, 1) == 1) {
		say(&last, combined());
		if (write(done[1], &byte, 1) != 1)
			_exit(5);
	}
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
	if (nidle > MAX_IDLE || pipe(done))
		return 2;
	pthread_barrier_init(&called, NULL, nbusy + nidle + 1);
	for (int i = 0; i < nbusy + nidle; i++) {
		pthread_t t;
		int n = i - nbusy;
		if (n >= 0 && pipe(ask[n]))
			return 2;
		if (pthread_create(&t, &attr, n < 0 ? busy : idle, n < 0 ? NULL : &ask[n][0]))
			return 2;
	}
	pthread_barrier_wait(&called);
	say(&last, combined());
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		for (int i = 0; i < nidle; i++)
			if (write(ask[i][1], "x", 1) != 1)
				return 2;
		for (int i = 0; i < nidle; i++)
			if (read(done[0], &byte, 1) != 1)
				return 2;
		say(&last, combined());
		dprintf(1, "called\n");
	}
	return 0;
}
