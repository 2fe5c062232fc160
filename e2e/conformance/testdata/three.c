/* Three threads, each with a function of its own; only the second one's is patched, and its replacement calls another
 * function of the program. */
#include <pthread.h>
#include "say.h"
#ifdef PATCH
void (*report_in_target)(const char *);
void second_lp(void) { report_in_target("PATCHED\n"); }
#else
static int ask[3][2];
OPAQUE static void report(const char *text) { say_line(text); }
OPAQUE void first(void) { report("UNPATCHED\n"); }
OPAQUE void second(void) { report("UNPATCHED\n"); }
OPAQUE void third(void) { report("UNPATCHED\n"); }

static void *serve(void *arg)
{
	char c;
	long i = (long)arg;
	void (*const functions[])(void) = {first, second, third};
	while (read(ask[i][0], &c, 1) == 1)
		functions[i]();
	_exit(5);
}

__attribute__((constructor)) static void start(void)
{
	for (long i = 0; i < 3; i++) {
		pthread_t t;
		if (pipe(ask[i]) || pthread_create(&t, NULL, serve, (void *)i))
			_exit(6);
	}
}

void thread(int n)
{
	if (write(ask[n - 1][1], "x", 1) != 1)
		_exit(7);
}
#endif
