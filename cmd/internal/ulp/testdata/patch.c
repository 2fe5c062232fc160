/* A live patch for a library of number.c. */
struct { unsigned long module, offset; } ti __attribute__((used));
int *secret_lp;

int number_lp(void) { return VALUE; }
int number_of_secret_lp(void) { return *secret_lp + VALUE; }
