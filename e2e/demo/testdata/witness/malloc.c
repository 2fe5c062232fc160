/* Takes down what is in the blocks that malloc returns: "plain", or the text
   that a replacement put there. */

#include "witness.h"

static void answer(char *text, size_t size)
{
	static const char mark[] = "glibc-livepatch";
	char *block = malloc(32);

	__asm__ volatile("" : "+r"(block) : : "memory"); /* not what the compiler knows of malloc */
	if (block == NULL)
		snprintf(text, size, "broken: no memory");
	else if (memcmp(block, mark, sizeof mark - 1) == 0)
		snprintf(text, size, "%.31s", block);
	else
		snprintf(text, size, "plain");
	if (block != NULL)
		explicit_bzero(block, 32);
	free(block);
}
