/* Ten integers and ten floating-point numbers reach a function: in registers and on the stack. */
#define INTEGERS long a, long b, long c, long d, long e, long f, long g, long h, long i, long j
#define DOUBLES double k, double l, double m, double n, double o, double p, double q, double r, double s, double t
#define WEIGHED (a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + \
	11 * k + 12 * l + 13 * m + 14 * n + 15 * o + 16 * p + 17 * q + 18 * r + 19 * s + 20 * t)
#ifdef LIBRARY
double weighed(INTEGERS, DOUBLES) { return WEIGHED; }
#elif defined(PATCH)
double weighed_lp(INTEGERS, DOUBLES) { return -WEIGHED; }
#else
double weighed(INTEGERS, DOUBLES);
long all(void)
{
	return (long)weighed(1, 20, 3, 40, 5, 60, 7, 80, 9, 100, 11.5, 120.5, 13.5, 140.5, 15.5, 160.5, 17.5, 180.5, 19.5, 200.5);
}
#endif
