/* How the programs of LibCare's table speak: a line, at once. */
#pragma once
#include <string.h>
#include <unistd.h>

#define OPAQUE __attribute__((noipa))

/* Behind a call: so that it is no jump, and the caller stays on the stack. */
#define STAYS __asm__ volatile("" ::: "memory")

static inline void say_line(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(9);
}
