/* A library whose function stays on the stack for as long as its caller wants. */
volatile int answer_base = 1;

__attribute__((noinline)) int answer(int (*meanwhile)(void))
{
	int n = answer_base;
	if (meanwhile)
		n += meanwhile();
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
