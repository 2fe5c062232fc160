/* A thread that is cancelled in a function of the library, with a clean-up handler of its caller. */
#define OPAQUE __attribute__((noipa))
#ifdef LIBRARY
#include <unistd.h>
static volatile long base;
OPAQUE long waits(int fd) { char byte; return read(fd, &byte, 1) + base; }
OPAQUE long simple(void) { return base + 1; }
#elif defined(PATCH)
long simple_lp(void) { return -1; }
#ifndef SIMPLE
#include <unistd.h>
long waits_lp(int fd) { char byte; return read(fd, &byte, 1) + 1000; }
#endif
#else
#include <pthread.h>
#include <unistd.h>
long waits(int);
static int quiet[2];
static volatile long inside, cleaned;
static void clean(void *arg) { cleaned++; }
static void *body(void *arg)
{
	pthread_cleanup_push(clean, NULL);
	inside = 1;
	waits(quiet[0]);
	pthread_cleanup_pop(0);
	return NULL;
}
/* How often the clean-up handler ran, and 10 if the thread was cancelled. */
long cancelled(void)
{
	pthread_t id;
	void *result;
	cleaned = inside = 0;
	if (pipe(quiet) || pthread_create(&id, NULL, body, NULL))
		return -1;
	while (!inside)
		usleep(1000);
	if (pthread_cancel(id) || pthread_join(id, &result))
		return -1;
	return cleaned + 10 * (result == PTHREAD_CANCELED);
}
#endif
