/* Sixty-four functions of one set. */
#define EIGHT(F, n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7)
#define ALL(F) EIGHT(F, 1) EIGHT(F, 2) EIGHT(F, 3) EIGHT(F, 4) EIGHT(F, 5) EIGHT(F, 6) EIGHT(F, 7) EIGHT(F, 8)
#ifdef LIBRARY
static volatile long base;
#define F(n) __attribute__((noipa)) long f##n(void) { return base + n; }
ALL(F)
/* How many of them are replaced. */
long replaced(void)
{
	long count = 0;
#define COUNT(n) count += f##n() == -n;
	ALL(COUNT)
	return count;
}
#else
#define P(n) long f##n##_lp(void) { return -n; }
ALL(P)
#endif
