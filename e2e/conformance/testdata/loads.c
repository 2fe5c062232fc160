/* Linked with asked.c: loads libraries while it runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *handle;
/* Loads $LIBRARY: its functions can be called then. */
long load(void)
{
	handle = dlopen(getenv("LIBRARY"), RTLD_NOW | RTLD_GLOBAL);
	if (!handle)
		fprintf(stderr, "%s\n", dlerror());
	return handle ? 0 : -1;
}
/* Looked up in that library alone, so that it can be unloaded. */
long loaded(long n) { return ((long (*)(long))dlsym(handle, "hundreds"))(n); }
long unload(void) { return dlclose(handle); }
/* The same in a thread of its own, which stays in the library's constructor with the dynamic linker's locks until
 * finish_load. */
static pthread_t loader;
volatile int loading, go_on;
static void *loads(void *arg) { return (void *)load(); }
long begin_load(void)
{
	if (pthread_create(&loader, NULL, loads, NULL))
		return -1;
	while (!loading)
		usleep(1000);
	return 0;
}
long finish_load(void)
{
	void *result;
	go_on = 1;
	return pthread_join(loader, &result) ? -1 : (long)result;
}
