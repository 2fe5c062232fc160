/* Says over and over which functions it meets: see "lpbuild test --help". */

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"

/* Called by threads of lpbuild's while the patch is applied and reverted. */
const char *lpbuild_hammer(void)
{
	static _Thread_local char text[100];

	answer(text, sizeof text);
	return strncmp(text, "broken", 6) == 0 ? text : NULL;
}

int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte, text[100];

	setvbuf(stdout, NULL, _IOLBF, 0);
	do {
		answer(text, sizeof text);
		puts(text);
	} while (poll(&in, 1, 10) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return 0;
}
