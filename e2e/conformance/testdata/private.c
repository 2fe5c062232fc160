/* A function and variables that the library does not export. */
#define OPAQUE __attribute__((noipa))
#ifdef LIBRARY
static volatile long secret = 40, other = 5;
static __thread long banner = 3;
OPAQUE static long hidden(long n) { return n + secret; }
long visible(long n) { return hidden(n) + 0 * other; }
long read_secret(void) { return secret; }
long read_other(void) { return other; }
long read_banner(void) { return banner; }
OPAQUE long banner_set(long n) { banner = n; return banner; }
OPAQUE __attribute__((visibility("hidden"))) long twice_secret(void) { return 2 * secret; }
OPAQUE long doubled(void) { return twice_secret() + 0 * other; }
#endif
#ifdef HIDDEN
long hidden_lp(long n) { return 1000 * PATCH + n; }
#endif
#ifdef ACCESS
volatile long *secret_in_library, *other_in_library;
long visible_lp(long n) { *other_in_library += n; return ++*secret_in_library; }
#endif
#ifdef THREAD_LOCAL
struct { unsigned long module, offset; } banner_in_library;
void *__tls_get_addr(void *);
long banner_set_lp(long n) { *(long *)__tls_get_addr(&banner_in_library) = 100 * n; return n; }
#endif
#ifdef NEEDS_HIDDEN
long twice_secret(void);
long doubled_lp(void) { return -twice_secret(); }
#endif
#ifdef REFERS_TO_HIDDEN
long (*twice_in_library)(void);
long doubled_lp(void) { return -twice_in_library(); }
#endif
