/* Replacements; VALUE tells versions apart. */
int answer_lp(void) { return VALUE; }
int second_lp(int n) { return n + 10 * VALUE; }
int branchy_lp(const int *p) { return p ? *p + 100 * VALUE : -VALUE; }
int *secret_lp;
int peek_lp(void) { return *secret_lp + VALUE; }
static int calls;
int counting_lp(void) { return VALUE + 0 * ++calls; }
