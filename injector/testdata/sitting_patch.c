/* Replacements for sitting.c; VALUE tells versions apart. */
int meanwhile(int how);
static int add(int how, int n) { return (how ? meanwhile(how) : 0) + n; }
int answer_lp(int how) { return add(how, VALUE) + 1000 * VALUE; }
int second_lp(volatile int *until)
{
	until[1] = 1; /* in */
	while (!until[0])
		;
	return VALUE;
}
