volatile int base = 1;
__attribute__((noinline)) int answer(void) { return base; }
