/* Threads without end: each runs chain(), starts the next one there and ends when that has begun. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include "say.h"

void *next(void *text);

#ifdef PATCH
void *chain_lp(void *arg)
{
	arg = next("PATCHED\n");
	STAYS;
	return arg;
}
void greet_lp(void) { say_line("PATCHED\n"); }
#else
static sem_t begun, ended;
static volatile int stopped;
static char *volatile last;

OPAQUE void *chain(void *arg)
{
	arg = next("UNPATCHED\n");
	STAYS;
	return arg;
}

static void start(void)
{
	pthread_t t;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &attr, chain, NULL))
		_exit(6);
}

/* The rest of chain(), called by it with what it is. */
OPAQUE void *next(void *text)
{
	last = text;
	sem_post(&begun);
	if (stopped) {
		sem_post(&ended);
		return NULL;
	}
	start();
	sem_wait(&begun);
	return NULL;
}

OPAQUE void greet(void) { say_line("UNPATCHED\n"); }

void begin(void)
{
	sem_init(&begun, 0, 0);
	sem_init(&ended, 0, 0);
	stopped = 0;
	start();
	sem_wait(&begun);
	say_line("IN\n");
}

/* Says what the newest thread runs. */
void newest(void) { say_line(last); }

void end(void)
{
	stopped = 1;
	sem_wait(&ended);
	say_line("OUT\n");
}
#endif
