/* An allocator that keeps the size, and who has allocated, before each block. */
#include <stdlib.h>
__attribute__((noinline)) void *take(size_t n)
{
	size_t *p = malloc(n + 2 * sizeof *p);
	p[0] = n;
	p[1] = 1;
	return p + 2;
}
volatile int answer_base = 1;
__attribute__((noinline)) int answer(void) { return answer_base; }
