/* Says over and over, one line each time, which malloc it meets, until its
   standard input is closed. See "lpbuild test --help" for the convention. */

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The compiler knows malloc too well: without this it may drop the call, or
   take the content of a new block to be whatever suits it. */
static void *get(size_t size)
{
	void *block = malloc(size);
	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

/* The next malloc may return this block: leave no mark in it. */
static void give_back(void *block, size_t size)
{
	explicit_bzero(block, size);
	free(block);
}

/* What malloc owes its callers, patched or not. Threads of lpbuild's call it
   as well, while the patch is applied and reverted. */
const char *lpbuild_hammer(void)
{
	volatile size_t beyond = SIZE_MAX; /* volatile: the compiler would object */

	for (size_t size = 0; size <= 64; size++) {
		errno = 77;
		void *one = get(size), *two = get(size);
		if (one == NULL || two == NULL || one == two)
			return "broken: two blocks are not two";
		if ((uintptr_t)one % _Alignof(max_align_t) != 0)
			return "broken: alignment";
		if (errno != 77)
			return "broken: errno changed";
		give_back(one, size);
		give_back(two, size);
	}
	if (get(beyond) != NULL || errno != ENOMEM)
		return "broken: a size beyond the address space";
	return NULL;
}

static const char *answer(void)
{
	static const char mark[] = "glibc-livepatch";
	const char *wrong = lpbuild_hammer();
	char *block = get(32);

	if (wrong != NULL)
		return wrong;
	if (block == NULL)
		return "broken: no memory";
	const char *text = memcmp(block, mark, sizeof mark) == 0 ? mark : "plain";
	give_back(block, 32);
	return text;
}

int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	setvbuf(stdout, NULL, _IOLBF, 0);
	do {
		puts(answer());
	} while (poll(&in, 1, 10) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return 0;
}
