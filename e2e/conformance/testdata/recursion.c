/* A function that calls itself, and two that call each other; one of these is not exported. */
#define OPAQUE __attribute__((noipa))
#ifdef LIBRARY
OPAQUE long sum(long n) { return n <= 0 ? 0 : n + sum(n - 1); }
static long calls;
static long odd(long n);
OPAQUE long even(long n) { calls++; return n == 0 ? 1 : odd(n - 1); }
OPAQUE static long odd(long n) { calls++; return n == 0 ? 0 : even(n - 1); }
long counted(void) { return calls; }
#elif defined(PATCH) && !defined(PRIVATE)
long sum(long n);
long sum_lp(long n) { return n <= 0 ? 1000 : n + sum(n - 1); } /* through the library's own entry */
#elif defined(PATCH)
long (*odd_in_library)(long);
long *calls_in_library;
long even_lp(long n) { *calls_in_library += 100; return n == 0 ? 7 : odd_in_library(n - 1); }
#endif
