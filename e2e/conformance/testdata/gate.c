/* Preloaded: everything is loaded and relocated, main has not begun. Says "ready" and waits for a line. */
#ifdef LIBRARY
#include "say.h"

__attribute__((constructor)) static void wait_for_a_line(void)
{
	char c = 0;
	say_line("ready\n");
	while (c != '\n')
		if (read(0, &c, 1) != 1)
			_exit(8);
}
#endif
