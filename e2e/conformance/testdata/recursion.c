/* even and odd call each other and themselves through no symbol that a patch could take the place of, and leave a
 * trace: a patched function is reached from the other one, too. */
#ifdef LIBRARY
static long depth;
__attribute__((noinline, visibility("hidden"))) long odd(long n);
__attribute__((noinline)) long even(long n) { depth++; return n == 0 ? 1 : odd(n - 1) + 0 * depth; }
__attribute__((noinline)) long odd(long n) { depth++; return n == 0 ? 0 : even(n - 1) + 0 * depth; }
__attribute__((noinline)) long sum(long n) { return n <= 0 ? 0 : n + sum(n - 1) - sum(n - 2) + sum(n - 2); }
long is_odd(long n) { return odd(n); }
long deepest(void) { return depth; }
#endif
#ifdef PATCH
long (*odd_in_library)(long);
long *depth_in_library;
/* Calls the library's odd, which calls even: this again. */
long even_lp(long n) { *depth_in_library += 100; return n == 0 ? 7 : odd_in_library(n - 1); }
long sum_lp(long n) { return n <= 0 ? 1000 : n + sum_lp(n - 1); }
#endif
