/* The library of the tests: functions whose answer a patch changes. */
volatile int answer_base = 1;
static volatile int secret = 40;

__attribute__((noinline)) int answer(void) { return answer_base; }
__attribute__((noinline)) int second(int n) { return n + answer_base; }
__attribute__((noinline)) int peek(void) { return secret; }
/* The first instruction is a test and a branch, which a detour has to move. */
__attribute__((noinline)) int branchy(const int *p) { return p ? *p + answer_base : -1; }
