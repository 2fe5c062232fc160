/* A process whose main thread records the longest interval in which it did not
 * run, besides IDLE threads that sleep, or that spin too if a second argument
 * is given:
 *   spin IDLE [busy]
 * SIGUSR1 is answered with that interval in nanoseconds and what the patched
 * function answers, and starts the record anew. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int answer(void);

static volatile long longest, last;

static long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void report(int signal)
{
	(void)signal;
	dprintf(1, "%ld %d\n", longest, answer());
	longest = 0;
	last = now();
}

static void *other(void *spins)
{
	while (spins)
		answer();
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t set;
	int others = argc > 1 ? atoi(argv[1]) : 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, report);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (int i = 0; i < others; i++)
		if (pthread_create(&t, &attr, other, argc > 2 ? &set : NULL))
			return 2;
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	dprintf(1, "ready\n");
	last = now();
	for (;;) {
		long n = now();
		if (n - last > longest)
			longest = n - last;
		last = n;
	}
}
