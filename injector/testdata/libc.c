/* A replacement that uses what a C library exports. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int answer_lp(void)
{
	char *copy = strdup("patched");
	int n = copy && getpid() > 0 && strlen(copy) == 7 ? VALUE : -1;
	free(copy);
	return n;
}
