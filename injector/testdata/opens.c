/* A program that opens the library when it runs:
 *   opens LIBRARY
 * It serves as case.h says. */
#define _GNU_SOURCE
#include "case.h"
#include <dlfcn.h>

static int (*opened)(void);

int answer(void) { return opened(); }

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!library || !(opened = (int (*)(void))dlsym(library, "answer")))
		fail("dlopen");
	serve();
}
