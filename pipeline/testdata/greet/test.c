#include <poll.h>
#include <stdio.h>
#include <unistd.h>

extern const char *greeting(void);

int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	setvbuf(stdout, NULL, _IOLBF, 0);
	do {
		puts(greeting());
	} while (poll(&in, 1, 5) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return STATUS;
}
