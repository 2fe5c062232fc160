/* A function that is called in signal handlers, a thousand times a second and more. */
#ifdef LIBRARY
static volatile long base = 7;
__attribute__((noipa)) long convert(long n) { return base * n; }
#elif defined(PATCH)
long convert_lp(long n) { return -9 * n; }
#else
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
long convert(long);
static volatile long old, new, wrong, handled;
static void handler(int sig)
{
	long answer = convert(3);
	if (answer == 21) old++;
	else if (answer == -27) new++;
	else wrong++;
	handled++;
}
/* Sends n signals, one after the other, to the thread that called barrage. */
static pthread_t victim, sender;
static volatile long sent;
static void *send(void *n)
{
	for (long i = 0; i < (long)n; i++) {
		long before = handled;
		if (pthread_kill(victim, SIGUSR1))
			wrong++;
		while (handled == before)
			sched_yield();
		sent++;
	}
	return n;
}
long barrage(long n)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };
	old = new = wrong = handled = sent = 0;
	victim = pthread_self();
	sigaction(SIGUSR1, &a, NULL);
	return pthread_create(&sender, NULL, send, (void *)n);
}
long barraged(void) { return pthread_join(sender, NULL) ? -1 : sent; }
long olds(void) { return old; }
long news(void) { return new; }
long wrongs(void) { return wrong; }
#endif
