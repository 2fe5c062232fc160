// An exception that passes through a function of the library, with an object of its caller to destroy.
#define OPAQUE __attribute__((noipa))
#ifdef LIBRARY
static volatile long base;
extern "C" OPAQUE long through(long (*f)(long), long n) { return f(n) + base; }
extern "C" OPAQUE long simple(void) { return base + 1; }
#elif defined(PATCH)
extern "C" long through_lp(long (*f)(long), long n) { return f(n) + 1000; }
extern "C" long simple_lp(void) { return -1; }
#else
extern "C" long through(long (*)(long), long);
static long destroyed;
struct object { ~object() { destroyed++; } };
static long throws(long n) { throw n; }
// What was caught, and 100 for each object destroyed.
extern "C" long caught(long n)
{
	destroyed = 0;
	try {
		object o;
		return through(throws, n);
	} catch (long m) {
		return m + 100 * destroyed;
	}
}
#endif
