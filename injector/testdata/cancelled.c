/* Cancels a thread for every byte on standard input, in read(2), below a caller
 * that has a clean-up handler, and says what answer() gave that thread and how
 * many handlers have run. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

int answer(void);

static int never[2], told[2];
static int handlers;

static void handler(void *arg)
{
	(void)arg;
	handlers++;
}

__attribute__((noinline)) static void waits(void)
{
	char byte = '0' + answer();
	pthread_cleanup_push(handler, NULL);
	if (write(told[1], &byte, 1) != 1 || read(never[0], &byte, 1) != 1)
		_exit(3);
	pthread_cleanup_pop(0);
}

static void *thread(void *arg)
{
	pthread_cleanup_push(handler, NULL);
	waits();
	pthread_cleanup_pop(0);
	return arg;
}

int main(void)
{
	char byte;
	if (pipe(never) || pipe(told))
		return 2;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		pthread_t t;
		void *result;
		handlers = 0;
		if (pthread_create(&t, NULL, thread, NULL) || read(told[0], &byte, 1) != 1 ||
		    pthread_cancel(t) || pthread_join(t, &result))
			return 4;
		dprintf(1, "%d %c,%d,%s\n", getpid(), byte, handlers, result == PTHREAD_CANCELED ? "cancelled" : "returned");
	}
	return 0;
}
