/* Says for every byte on standard input what the functions of callee.c answer. */
#include <stdio.h>
#include <unistd.h>
#include "callee.h"

int main(void)
{
	char byte;
	picked before = pick;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		struct pair p = make_pair(1.5, 7);
		struct big b = make_big(100);
		dprintf(1, "%d %ld,%g,%g,%Lg,%g,%ld,%ld,%ld,%ld,%d,%d,%ld,%ld\n", getpid(), sum(8, 1, 2, 3, 4, 5, 6, 7, 8),
			average(10, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10.),
			mixed(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10.),
			extended(0.25L, 0.5f), p.d, p.l, b.v[0], b.v[5],
			factorial(6), even(9), odd(9), tail(10), before(5));
	}
	return 0;
}
