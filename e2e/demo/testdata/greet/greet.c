/* Replacements for greet and for the adjust of greet.c, one of two local
   functions of that name. The library goes on counting its calls. */

/* Filled in when the patch is applied: see the references in greet.in. */
long *calls_ref;
struct { unsigned long module, offset; } thread_calls_ref;

extern void *__tls_get_addr(void *);

const char *greet_lp(void)
{
	__atomic_add_fetch(calls_ref, 1, __ATOMIC_RELAXED);
	++*(long *)__tls_get_addr(&thread_calls_ref);
	return "good day";
}

long adjust_lp(long x)
{
	return x + 1000;
}
