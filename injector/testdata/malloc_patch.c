/* The replacement of take(): it does the same, and says so. */
#include <stddef.h>
void *malloc(size_t);
void *take_lp(size_t n)
{
	size_t *p = malloc(n + 2 * sizeof *p);
	p[0] = n;
	p[1] = VALUE;
	return p + 2;
}
