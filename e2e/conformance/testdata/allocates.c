/* Linked with asked.c: threads that are in the allocator and in the dynamic linker without pause. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
enum { MALLOC = 4, DLOPEN = 1, ALL = MALLOC + DLOPEN };
static volatile long turns[ALL];
static void *allocate(void *turn)
{
	void *kept[64] = {0};
	for (unsigned i = 0;; i++, ++*(volatile long *)turn) {
		free(kept[i % 64]);
		if (!(kept[i % 64] = malloc(16 + i * 37 % 5000)))
			abort();
	}
}
static void *load(void *turn)
{
	for (;; ++*(volatile long *)turn) {
		void *h = dlopen("libm.so.6", RTLD_NOW);
		if (!h || !dlsym(h, "cos") || dlclose(h))
			abort();
	}
}
long begin(void)
{
	pthread_t id;
	for (int i = 0; i < ALL; i++)
		if (pthread_create(&id, NULL, i < MALLOC ? allocate : load, (void *)&turns[i]))
			return -1;
	return ALL;
}
/* Waits until each has gone on. */
long all_go_on(void)
{
	long before[ALL];
	memcpy(before, (void *)turns, sizeof before);
	for (int i = 0; i < ALL; i++)
		while (turns[i] == before[i])
			sched_yield();
	return ALL;
}
