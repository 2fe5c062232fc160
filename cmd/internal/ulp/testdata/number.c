/* A library of one function, NAME, that answers VALUE, and what a live patch
 * may want of it. */
__thread int last __attribute__((used)) = 1;
static int secret __attribute__((used)) = VALUE;

int NAME(void) { return secret; }

/* Stays in the library until there is something to read. */
extern long read(int, void *, unsigned long);

int sits(void)
{
	char byte;
	return read(0, &byte, 1) == 1 ? byte : -1;
}
