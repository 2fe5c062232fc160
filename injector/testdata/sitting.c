/* A library whose function stays on the stack for as long as its caller wants. */
volatile int answer_base = 1;

int meanwhile(int how); /* the program's */

__attribute__((noinline)) int answer(int how)
{
	int n = answer_base;
	if (how)
		n += meanwhile(how);
	return n + 1000 * answer_base;
}

/* Calls nothing: it can only be interrupted. */
__attribute__((noinline)) int second(volatile int *until)
{
	int n = answer_base;
	until[1] = 1; /* in */
	while (!until[0])
		;
	return n;
}
