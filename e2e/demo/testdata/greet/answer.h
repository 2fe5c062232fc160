/* What libgreet answers at this moment, "GREETING, SUM", or "broken: ..." if it
   no longer keeps its promises. */

#include <stdio.h>

const char *greet(void);
long greet_answer(long x);
long greet_thread_calls(void);
long farewell_answer(long x);

static void answer(char *text, size_t size)
{
	const char *greeting;
	long sum, calls;

	/* Both functions change in one instant, but not between two calls. */
	do {
		calls = greet_thread_calls();
		greeting = greet();
		sum = greet_answer(0);
	} while (greet() != greeting);
	if (greet_thread_calls() != calls + 3)
		snprintf(text, size, "broken: %ld calls counted instead of 3", greet_thread_calls() - calls);
	else if (farewell_answer(0) != -1)
		snprintf(text, size, "broken: the other adjust was replaced");
	else
		snprintf(text, size, "%s, %ld", greeting, sum);
}
