/* A live patch with a constructor that allocates, and an allocator of the program's own that counts. */
#ifdef LIBRARY
static volatile long base = 1;
__attribute__((noipa)) long made(void) { return base; }
#elif defined(PATCH)
#include <stdlib.h>
static long *from_constructor;
__attribute__((constructor)) static void construct(void)
{
	from_constructor = malloc(123456);
	*from_constructor = 77;
}
long made_lp(void) { return *from_constructor; }
#else
#include <stddef.h>
#include <string.h>
static char room[1 << 22] __attribute__((aligned(16)));
static size_t used;
static volatile long of_constructor;
void *malloc(size_t n)
{
	size_t at = __atomic_fetch_add(&used, (n + 31) & -16, __ATOMIC_RELAXED);
	of_constructor += n == 123456;
	if (at + n + 16 > sizeof room)
		return NULL;
	memcpy(room + at, &n, sizeof n);
	return room + at + 16;
}
void free(void *p) { }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *old, size_t n)
{
	void *p = malloc(n);
	size_t before = old ? *(size_t *)((char *)old - 16) : 0;
	return p && old ? memcpy(p, old, before < n ? before : n) : p;
}
/* Allocations before main are served, too. */
static void *early;
__attribute__((constructor)) static void begin(void) { early = malloc(1); }
long allocated_early(void) { return early != NULL; }
long allocated_by_constructor(void) { return of_constructor; }
#endif
