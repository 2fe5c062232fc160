/* A library, or with VALUE the replacements of all its functions. */
#ifdef VALUE
#define NAME(f) f##_lp
#else
#define NAME(f) f
#define VALUE 1
#endif
#include <stdarg.h>
#include "callee.h"

#define REPLACEABLE __attribute__((noinline))

/* Without it the shipped ones would be too short to be replaced. */
static volatile int one = 1;

REPLACEABLE long NAME(sum)(int n, ...)
{
	long total = 0;
	va_list ap;
	va_start(ap, n);
	while (n-- > 0)
		total += va_arg(ap, int);
	va_end(ap);
	return VALUE * total;
}

REPLACEABLE double NAME(average)(int n, ...)
{
	double total = 0;
	va_list ap;
	va_start(ap, n);
	for (int i = 0; i < n; i++)
		total += va_arg(ap, double);
	va_end(ap);
	return VALUE * total / n;
}

REPLACEABLE double NAME(mixed)(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j,
	     double k, double l, double m, double n, double o, double p, double q, double r, double s, double t)
{
	long ints = a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
	return VALUE * (ints + k + 2 * l + 3 * m + 4 * n + 5 * o + 6 * p + 7 * q + 8 * r + 9 * s + 10 * t);
}

REPLACEABLE long double NAME(extended)(long double a, float b) { return VALUE * (a + b); }

REPLACEABLE struct pair NAME(make_pair)(double d, long l)
{
	struct pair p = { VALUE * d, VALUE * l * one };
	return p;
}

REPLACEABLE struct big NAME(make_big)(long first)
{
	struct big b;
	for (int i = 0; i < 6; i++)
		b.v[i] = VALUE * (first + i);
	return b;
}

/* What recurs by its name reaches whatever is in force. */
REPLACEABLE long NAME(factorial)(long n) { return n < 2 ? VALUE : n * factorial(n - 1); }
REPLACEABLE int NAME(even)(unsigned n) { return n ? odd(n - 1) : VALUE; }
REPLACEABLE int NAME(odd)(unsigned n) { return n ? even(n - 1) : -VALUE; }

REPLACEABLE long NAME(tail)(long n) { return tail_called(n + VALUE); }
REPLACEABLE long NAME(tail_called)(long n) { return VALUE * n * one; }
REPLACEABLE long NAME(pick)(long n) { return VALUE * n * one; }
