/* Opens, closes and calls libraries when it is told to, by two bytes on standard
 * input each: what to do, and with which of its arguments:
 *   o open   c close   a say what answer() and peek() give   l say where it lies */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <unistd.h>

static int call(void *lib, const char *name)
{
	int (*f)(void) = (int (*)(void))dlsym(lib, name);
	return f ? f() : 0;
}

int main(int argc, char **argv)
{
	char command[2];
	void *libs[10] = { 0 };
	(void)argc;
	dprintf(1, "ready\n");
	while (read(0, command, 2) == 2) {
		int i = command[1] - '0';
		struct link_map *map = libs[i];
		if (command[0] == 'o' && !(libs[i] = dlopen(argv[i], RTLD_NOW))) {
			dprintf(1, "%s\n", dlerror());
			return 2;
		}
		if (command[0] == 'c' && dlclose(libs[i]))
			return 3;
		if (command[0] == 'a')
			dprintf(1, "%d %d,%d\n", getpid(), call(libs[i], "answer"), call(libs[i], "peek"));
		else
			dprintf(1, "%d %#lx\n", getpid(), command[0] == 'l' ? (unsigned long)map->l_addr : 0UL);
	}
	return 0;
}
