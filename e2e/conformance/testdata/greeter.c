/* A program that obeys: each line on standard input is
 *   NAME [NUMBER]
 * and calls the function of that name, which says what there is to say. "leave" returns from the innermost commands().
 * A byte is read at a time, so that several threads, and what runs before main, can read lines too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include "say.h"

OPAQUE void commands(void)
{
	char line[128];
	for (;;) {
		size_t n = 0;
		while (n < sizeof line - 1 && read(0, line + n, 1) == 1 && line[n] != '\n')
			n++;
		if (n == 0)
			exit(0);
		line[n] = 0;
		if (!strcmp(line, "leave"))
			return;
		char *number = strchr(line, ' ');
		if (number)
			*number++ = 0;
		void (*f)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, line);
		if (!f)
			exit(3);
		f(number ? atoi(number) : 0);
	}
}

int main(void)
{
	say_line("ready\n");
	commands();
	return 0;
}
