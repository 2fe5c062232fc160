/* Replacements for sitting.c; VALUE tells versions apart. */
static int add(int (*meanwhile)(void), int n) { return (meanwhile ? meanwhile() : 0) + n; }
int answer_lp(int (*meanwhile)(void)) { return add(meanwhile, VALUE) + 1000 * VALUE; }
int second_lp(volatile int *until)
{
	until[1] = 1; /* in */
	while (!until[0])
		;
	return VALUE;
}
