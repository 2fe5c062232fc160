/* A function of the program itself, which is far away from its libraries. */
volatile int far_base = 1;
__attribute__((noinline)) int second(int n) { return n + far_base; }
