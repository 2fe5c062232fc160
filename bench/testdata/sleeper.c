/* A process that calls the patched function once for every byte on standard
 * input, or times calls of it:
 *   sleeper         answers each byte with a line: what the function answers
 *   sleeper CALLS   answers with the nanoseconds that CALLS calls took as well */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int answer(void);

int main(int argc, char **argv)
{
	long calls = argc > 1 ? atol(argv[1]) : 0;
	struct timespec a, b;
	char byte;

	dprintf(1, "ready %d\n", answer());
	while (read(0, &byte, 1) == 1) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (long i = 0; i < calls; i++)
			answer();
		clock_gettime(CLOCK_MONOTONIC, &b);
		dprintf(1, "%d %ld\n", answer(), (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
	}
	return 0;
}
