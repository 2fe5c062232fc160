/* One thread that computes without pause and says when answer() changes, as
 * target.c does. Between two calls all its registers, its red zone and its
 * errno hold what nothing else would put there; "damaged" ends it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int answer(void);

struct vectors { unsigned long lane[16][4]; };
static struct vectors want, got;
static long double numbers[8], back[8];
unsigned mxcsr = 0x1f80 | 0x6000, mxcsr_now; /* rounding towards zero */
unsigned short control = 0x37f | 0xc00, control_now;
unsigned long damage;

#define EACH_VECTOR(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_Y(n) "vmovdqu " #n "*32(%[want]), %%ymm" #n "\n\t"
#define STORE_Y(n) "vmovdqu %%ymm" #n ", " #n "*32(%[got])\n\t"
#define LOAD_X(n) "movdqu " #n "*32(%[want]), %%xmm" #n "\n\t"
#define STORE_X(n) "movdqu %%xmm" #n ", " #n "*32(%[got])\n\t"
#define CHECK(reg, value) "mov $" #value ", %%rax\n\tcmp %%rax, %%" #reg "\n\tjne 3f\n\t"
#define SET(reg, value) "mov $" #value ", %%" #reg "\n\t"

/* The loop holds a value in every register, the direction flag and the red
 * zone. rdi counts, rsi and rbx are the arrays. */
#define COMPUTE(load, store) \
	__asm__ volatile( \
		"ldmxcsr mxcsr(%%rip)\n\tfldcw control(%%rip)\n\t" load \
		SET(r8, 0x1111222233334444) SET(r9, 0x2222333344445555) SET(r10, 0x3333444455556666) \
		SET(r11, 0x4444555566667777) SET(r12, 0x5555666677778888) SET(r13, 0x6666777788889999) \
		SET(r14, 0x777788889999aaaa) SET(r15, 0x71237123abcdabcd) SET(rcx, 0x1234567812345678) \
		SET(rdx, 0x2345678923456789) SET(rax, 0x3456789a3456789a) \
		"mov %%rax, -8(%%rsp)\n\tmov %%rax, -128(%%rsp)\n\tstd\n\t" \
		"1:\tlea -1(%%rdi), %%rdi\n\ttest %%rdi, %%rdi\n\tjnz 1b\n\t" \
		"pushf\n\tpop %%rax\n\tcld\n\ttest $0x400, %%eax\n\tjz 3f\n\t" \
		CHECK(r8, 0x1111222233334444) CHECK(r9, 0x2222333344445555) CHECK(r10, 0x3333444455556666) \
		CHECK(r11, 0x4444555566667777) CHECK(r12, 0x5555666677778888) CHECK(r13, 0x6666777788889999) \
		CHECK(r14, 0x777788889999aaaa) CHECK(r15, 0x71237123abcdabcd) CHECK(rcx, 0x1234567812345678) \
		CHECK(rdx, 0x2345678923456789) \
		"mov $0x3456789a3456789a, %%rax\n\tcmp %%rax, -128(%%rsp)\n\tjne 3f\n\t" \
		store "stmxcsr mxcsr_now(%%rip)\n\tfnstcw control_now(%%rip)\n\tjmp 4f\n" \
		"3:\tmovq $1, damage(%%rip)\n4:\t" \
		: "+D"(count) : [want] "b"(&want), [got] "S"(&got) \
		: "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", \
		  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
		  "xmm12", "xmm13", "xmm14", "xmm15")

static void compute(int wide)
{
	unsigned long count = 20000;
	for (int i = 0; i < 8; i++)
		__asm__ volatile("fldt %0" : : "m"(numbers[i]));
	memset(&got, 0, sizeof got);
	errno = 4711;
	if (wide)
		COMPUTE(EACH_VECTOR(LOAD_Y), EACH_VECTOR(STORE_Y));
	else
		COMPUTE(EACH_VECTOR(LOAD_X), EACH_VECTOR(STORE_X));
	for (int i = 7; i >= 0; i--)
		__asm__ volatile("fstpt %0" : "=m"(back[i]));
	damage |= memcmp(numbers, back, sizeof back) != 0;
	damage |= errno != 4711 || mxcsr_now != mxcsr || control_now != control;
	for (int i = 0; i < 16; i++)
		damage |= memcmp(got.lane[i], want.lane[i], wide ? 32 : 16) != 0;
}

int main(void)
{
	int last = -1, wide = __builtin_cpu_supports("avx2");
	for (int i = 0; i < 8; i++)
		numbers[i] = 1.0L / (i + 3);
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 4; k++)
			want.lane[i][k] = 0x0123456789abcdefUL * (unsigned long)(4 * i + k + 1);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		compute(wide);
		if (damage) {
			printf("damaged\n");
			return 9;
		}
		int now = answer();
		if (now != last)
			dprintf(1, "%d %d\n", (int)getpid(), now);
		last = now;
	}
}
