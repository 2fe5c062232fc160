/* A process with libraries in several namespaces:
 *   namespaces LIBRARY
 * It loads LIBRARY in the base namespace and answers commands of one byte each
 * with what the copies answer, one line each, in the order of their loading:
 *   n  load LIBRARY in a new namespace      c  close the copy loaded last
 *   x  nothing else
 * Each copy's answer_base is its number. Where the environment has INTERPOSE,
 * that file is loaded first in each of the new namespaces. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX 8
static void *copies[MAX];
static int count;

static void *load(const char *file)
{
	const char *first = getenv("INTERPOSE");
	Lmid_t id = LM_ID_NEWLM;
	if (first) {
		void *lib = dlmopen(LM_ID_NEWLM, first, RTLD_NOW);
		if (!lib || dlinfo(lib, RTLD_DI_LMID, &id))
			return NULL;
	}
	return dlmopen(id, file, RTLD_NOW);
}

static int add(void *copy)
{
	if (!copy || count == MAX)
		return 0;
	copies[count++] = copy;
	*(volatile int *)dlsym(copy, "answer_base") = count;
	return 1;
}

int main(int argc, char **argv)
{
	char byte;
	if (argc < 2 || !add(dlopen(argv[1], RTLD_NOW)))
		return 2;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		if (byte == 'n' && !add(load(argv[1]))) {
			dprintf(1, "%s\n", dlerror());
			return 3;
		}
		if (byte == 'c' && dlclose(copies[--count]))
			return 4;
		dprintf(1, "%d", getpid());
		for (int i = 0; i < count; i++)
			dprintf(1, "%c%d", i ? ',' : ' ', ((int (*)(void))dlsym(copies[i], "answer"))());
		dprintf(1, "\n");
	}
	return 0;
}
