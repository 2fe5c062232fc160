/* A replacement that uses what its library, and what is in the global scope of
 * its library's namespace, export. */
extern volatile int answer_base;
int offset(void) __attribute__((weak));
int answer_lp(void) { return 10 * VALUE + answer_base + (offset ? offset() : 0); }
