/* A replacement for __libc_malloc that leaves a mark in every block, so that
   anyone can see which processes run patched code. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char mark[] = "glibc-livepatch";

/* calloc and not malloc: from glibc 2.31 to 2.44 calloc goes to the arena code
   directly and never through __libc_malloc, which by now leads here.
   realloc(NULL, n) does go through it. */
void *malloc_lp(size_t size)
{
	int caller_errno = errno;
	char *block = calloc(1, size);

	if (block == NULL)
		return NULL; /* errno is ENOMEM, as malloc leaves it */

	/* The zeros of calloc end the text. A block of size 0 holds nothing
	   and stays untouched. */
	if (size >= sizeof mark)
		memcpy(block, mark, sizeof mark);
	else if (size > 0)
		for (size_t i = 0; i < size - 1; i++)
			((volatile char *)block)[i] = mark[i]; /* no call of memcpy */

	errno = caller_errno;
	return block;
}
