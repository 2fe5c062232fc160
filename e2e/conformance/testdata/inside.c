/* Functions of a library in which a thread can stay. */
#define OPAQUE __attribute__((noipa))
#ifdef LIBRARY
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static volatile long left, loops;
static int gate[2];
/* What stay calls, once for each time that it is let go on: with one set of functions during one call of stay, the sum
 * is a multiple of 3. */
OPAQUE long part(void) { return left + 1 - left; }
OPAQUE static char waits(void)
{
	char byte = 0;
	if (read(gate[0], &byte, 1) != 1)
		abort();
	return byte;
}
/* Stays in the library until it is told to leave. */
OPAQUE long stay(void)
{
	long sum = 0;
	do {
		for (int i = 0; i < 3; i++)
			sum += part();
		loops++;
	} while (waits() != 'l');
	return sum;
}
static pthread_t thread;
static void *inside(void *arg) { return (void *)stay(); }
long enter(void)
{
	long before = loops;
	if (pipe(gate) || pthread_create(&thread, NULL, inside, NULL))
		return -1;
	while (loops == before)
		usleep(1000);
	return 0;
}
long again(void)
{
	long before = loops;
	if (write(gate[1], "a", 1) != 1)
		return -1;
	while (loops == before)
		usleep(1000);
	return 0;
}
long leave(void)
{
	void *sum;
	if (write(gate[1], "l", 1) != 1 || pthread_join(thread, &sum))
		return -1;
	return (long)sum;
}
#endif
#ifdef PATCH
long part_lp(void) { return 100; }
/* Takes twice as many parts. Not told to leave, it returns at once: nobody is to be in it. */
long stay_lp(void) { return 600; }
#endif
