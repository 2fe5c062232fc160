/* A library with one function, NAME, that counts in steps of STEP; a patch counts in PATCH times as large ones, below
 * zero. */
volatile long nothing;
#ifdef LIBRARY
long NAME(long n) { return n * STEP + nothing; }
#endif
#ifdef PATCH
long patched(long n) { return n * -STEP * PATCH; }
#endif
