/* A library whose secret each thread has for itself. */
volatile int answer_base = 1;
static __thread volatile int secret = 40;

__attribute__((noinline)) int answer(void) { return answer_base; }
__attribute__((noinline)) int peek(void) { return secret; }
