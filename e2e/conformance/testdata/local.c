/* Thread-local variables: the program's or the library's own, which the live patch reads and writes. */
#include <pthread.h>
#include "say.h"
#ifndef PATCH
#ifdef LIBRARY
__attribute__((tls_model("initial-exec")))
#endif
__thread int own = 7;
OPAQUE void greet(void) { say_line(own++ == 7 ? "UNPATCHED\n" : "UNPATCHED, AGAIN\n"); }

static void *call(void *arg)
{
	greet();
	return arg;
}

void in_thread(void)
{
	pthread_t t;
	if (!pthread_create(&t, NULL, call, NULL))
		pthread_join(t, NULL);
}
void reset(void)
{
	own = 7;
	say_line("RESET\n");
}
#else
extern __thread int own;
void greet_lp(void) { say_line(own++ == 7 ? "PATCHED\n" : "PATCHED, AGAIN\n"); }
#endif
