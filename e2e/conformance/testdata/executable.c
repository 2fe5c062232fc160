/* A program that is patched itself: linked with asked.c. */
#ifdef PROGRAM
static volatile long counter = 5;
__attribute__((noipa)) static long local(long n) { return n + counter; }
__attribute__((noipa)) long global(long n) { return 2 * n + counter; }
long through_local(long n) { return local(n) + 0 * counter; }
long counted(void) { return counter; }
#else
long *counter_in_program;
long local_lp(long n) { return -n; }
long global_lp(long n) { *counter_in_program += n; return 1000; }
#endif
