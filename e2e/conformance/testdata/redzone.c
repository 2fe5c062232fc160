/* A process whose only thread computes in the 128 bytes below its stack pointer, which a leaf function may use without
 * moving that; it looks at its input between two turns. */
#ifdef LIBRARY
static volatile long base = 1;
__attribute__((noipa)) long answer(void) { return base; }
#elif defined(PATCH)
long answer_lp(void) { return 10 * PATCH; }
#else
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
long answer(void);
/* 1 if the red zone held its values all the time. */
static long kept(void)
{
	long same;
	__asm__ volatile(
		"mov $16, %%rcx\n"
		"1: mov %%rcx, %%rax\n imul $0x01010101, %%rax\n neg %%rcx\n mov %%rax, (%%rsp,%%rcx,8)\n neg %%rcx\n"
		"dec %%rcx\n jnz 1b\n"
		"mov $30000, %%rdx\n"
		"2: mov $1, %0\n mov $16, %%rcx\n"
		"3: mov %%rcx, %%rax\n imul $0x01010101, %%rax\n neg %%rcx\n cmp %%rax, (%%rsp,%%rcx,8)\n je 4f\n xor %0, %0\n"
		"4: neg %%rcx\n dec %%rcx\n jnz 3b\n"
		"test %0, %0\n jz 5f\n dec %%rdx\n jnz 2b\n5:\n"
		: "=&r"(same) : : "rax", "rcx", "rdx", "memory", "cc");
	return same;
}
int main(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char byte;
	dprintf(1, "ready\n");
	for (;;) {
		if (!kept()) {
			dprintf(1, "the red zone is not as it was\n");
			return 9;
		}
		if (poll(&in, 1, 0) == 0)
			continue;
		if (read(0, &byte, 1) != 1)
			return 0;
		if (byte == '\n')
			dprintf(1, "%ld\n", answer());
	}
}
#endif
