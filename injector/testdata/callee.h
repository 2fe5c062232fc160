/* Functions of every kind of signature; see callee.c. */
struct pair { double d; long l; };
struct big { long v[6]; };
typedef long (*picked)(long);

long sum(int n, ...);
double average(int n, ...);
double mixed(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j,
	     double k, double l, double m, double n, double o, double p, double q, double r, double s, double t);
long double extended(long double a, float b);
struct pair make_pair(double d, long l);
struct big make_big(long first);
long factorial(long n);
int even(unsigned n);
int odd(unsigned n);
long tail(long n);
long tail_called(long n);
long pick(long n);
