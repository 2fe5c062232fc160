/* A library of one function, NAME, that answers VALUE, and what a live patch
 * may want of it. */
__thread int last __attribute__((used)) = 1;
static int secret __attribute__((used)) = VALUE;

int NAME(void) { return secret; }
