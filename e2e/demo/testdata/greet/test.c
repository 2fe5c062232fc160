/* Says over and over which functions it meets: see "lpbuild test --help". */

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "answer.h"

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
