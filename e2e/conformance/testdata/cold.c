/* A function of which the compiler moves the unlikely part away, and a replacement like that. */
#include "say.h"
static volatile int trouble;
OPAQUE __attribute__((cold)) static void complain(void) { trouble++; }
#ifndef PATCH
OPAQUE void greet(int bad)
{
	if (__builtin_expect(bad, 0)) {
		complain();
		say_line("UNPATCHED, COLD\n");
	} else
		say_line("UNPATCHED\n");
}
#else
void greet_lp(int bad)
{
	if (__builtin_expect(bad, 0)) {
		complain();
		say_line("PATCHED, COLD\n");
	} else
		say_line("PATCHED\n");
}
#endif
