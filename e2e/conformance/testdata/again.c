/* A program that calls exec for itself. */
#include "say.h"
#ifdef PATCH
void greet_lp(void) { say_line("PATCHED\n"); }
#else
OPAQUE void greet(void) { say_line("UNPATCHED\n"); }
void again(void)
{
	char *argv[] = {"again", NULL};
	execv("/proc/self/exe", argv);
	_exit(6);
}
#endif
