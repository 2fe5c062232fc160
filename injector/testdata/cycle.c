/* A process whose functions are called from every processor without pause:
 *   cycle THREADS
 * Every answer must be one that some complete set gives. "ready" is written
 * when all threads have called; for every byte on standard input a line
 * "state CHANGES", where CHANGES is how often the answers of the threads have
 * changed. An answer that no set gives ends the process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int answer(void);
int second(int);
int branchy(const int *);

static atomic_long changes;
static pthread_barrier_t called;

static void *call(void *arg)
{
	int last = -1, five = 5;
	for (long i = 0;; i++) {
		int a = answer(), b = second(7), c = branchy(&five);
		if ((a != 1 && a != 2 && a != 3) || (b != 8 && b != 27 && b != 37) || (c != 6 && c != 205 && c != 305)) {
			dprintf(2, "answers %d %d %d\n", a, b, c);
			_exit(9);
		}
		if (a != last) {
			atomic_fetch_add(&changes, 1);
			last = a;
		}
		if (i == 0)
			pthread_barrier_wait(&called);
	}
	return arg;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	char byte;
	pthread_barrier_init(&called, NULL, n + 1);
	for (int i = 0; i < n; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, call, NULL))
			return 2;
	}
	pthread_barrier_wait(&called);
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		dprintf(1, "state %ld\n", atomic_load(&changes));
	return 0;
}
