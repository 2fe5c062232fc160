/* Threads whose every register holds something known, again and again:
 *   computing alone    the main thread does nothing else, but for what it is asked
 *   computing beside   there are others, of which one copies backwards and one
 *                      looks at what a system call leaves */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>

/* All that a thread has. The code below knows the offsets. */
struct image {
	uint64_t gpr[16];          /* 0: rax rbx rcx rdx rsi rdi rbp rsp r8 ... */
	uint64_t flags;            /* 128 */
	uint64_t redzone[16];      /* 136 */
	uint32_t mxcsr, control;   /* 264, 268 */
	uint64_t mask[8];          /* 272: k0 ... */
	uint8_t x87[8][16];        /* 336 */
	uint8_t pad[48];
	uint8_t vector[32][64];    /* 512 */
} __attribute__((aligned(64)));

#define STR(x) #x
#define XSTR(x) STR(x)
#define FOR8(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7)
#define FOR16(m) FOR8(m) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define FOR32(m) FOR16(m) m(16) m(17) m(18) m(19) m(20) m(21) m(22) m(23) m(24) m(25) m(26) m(27) m(28) m(29) m(30) m(31)

/* void spin_KIND(const struct image *in, struct image *out): loads everything
 * from in, counts rcx down to 0 without another change, and stores it to out. */
#define SPIN(kind, load, store) \
	__asm__(".text\n.globl spin_" #kind "\nspin_" #kind ":\n" \
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n" \
	"sub $24, %rsp\nmov %rdi, 0(%rsp)\nmov %rsi, 8(%rsp)\n" \
	load \
	"fninit\nfldcw 268(%rdi)\nldmxcsr 264(%rdi)\n" \
	".irp n, 7,6,5,4,3,2,1,0\nfldt 336+16*\\n(%rdi)\n.endr\n" \
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nmov 136+8*\\n(%rdi), %rax\nmov %rax, -128+8*\\n(%rsp)\n.endr\n" \
	"lea -256(%rsp), %rsp\npushq 128(%rdi)\npopfq\nlea 256(%rsp), %rsp\n" \
	"mov 0(%rdi), %rax\nmov 8(%rdi), %rbx\nmov 16(%rdi), %rcx\nmov 24(%rdi), %rdx\nmov 32(%rdi), %rsi\n" \
	"mov 48(%rdi), %rbp\n.irp n, 8,9,10,11,12,13,14,15\nmov 8*\\n(%rdi), %r\\n\n.endr\nmov 40(%rdi), %rdi\n" \
	"1: lea -1(%rcx), %rcx\njrcxz 2f\njmp 1b\n2:\n" \
	"mov 8(%rsp), %rcx\n" \
	"mov %rax, 0(%rcx)\nmov %rbx, 8(%rcx)\nmov %rdx, 24(%rcx)\nmov %rsi, 32(%rcx)\nmov %rdi, 40(%rcx)\n" \
	"mov %rbp, 48(%rcx)\n.irp n, 8,9,10,11,12,13,14,15\nmov %r\\n, 8*\\n(%rcx)\n.endr\n" \
	"lea -256(%rsp), %rsp\npushfq\npopq 128(%rcx)\npushq $0x202\npopfq\nlea 256(%rsp), %rsp\n" \
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nmov -128+8*\\n(%rsp), %rax\nmov %rax, 136+8*\\n(%rcx)\n.endr\n" \
	".irp n, 0,1,2,3,4,5,6,7\nfstpt 336+16*\\n(%rcx)\n.endr\nfnstcw 268(%rcx)\nstmxcsr 264(%rcx)\n" \
	store \
	"fninit\npushq $0x1f80\nldmxcsr (%rsp)\nadd $8, %rsp\n" \
	"add $24, %rsp\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"); \
	void spin_##kind(const struct image *in, struct image *out)

#define SSE_IN(n) "movdqu 512+64*" #n "(%rdi), %xmm" #n "\n"
#define SSE_OUT(n) "movdqu %xmm" #n ", 512+64*" #n "(%rcx)\n"
#define AVX_IN(n) "vmovdqu 512+64*" #n "(%rdi), %ymm" #n "\n"
#define AVX_OUT(n) "vmovdqu %ymm" #n ", 512+64*" #n "(%rcx)\n"
#define AVX512_IN(n) "vmovdqu64 512+64*" #n "(%rdi), %zmm" #n "\n"
#define AVX512_OUT(n) "vmovdqu64 %zmm" #n ", 512+64*" #n "(%rcx)\n"
#define MASK_IN(n) "kmovq 272+8*" #n "(%rdi), %k" #n "\n"
#define MASK_OUT(n) "kmovq %k" #n ", 272+8*" #n "(%rcx)\n"
SPIN(sse, FOR16(SSE_IN), FOR16(SSE_OUT));
SPIN(avx, FOR16(AVX_IN), FOR16(AVX_OUT) "vzeroupper\n");
SPIN(avx512, FOR32(AVX512_IN) FOR8(MASK_IN), FOR32(AVX512_OUT) FOR8(MASK_OUT) "vzeroupper\n");

static void (*spin)(const struct image *in, struct image *out);
static int vectors, width, masks;

static void choose(void)
{
	spin = spin_sse, vectors = 16, width = 16;
	if (__builtin_cpu_supports("avx"))
		spin = spin_avx, width = 32;
	if (__builtin_cpu_supports("avx512bw"))
		spin = spin_avx512, vectors = 32, width = 64, masks = 8;
}

static void fill(struct image *in, unsigned round)
{
	/* Carry, parity, adjust, zero, sign, direction, overflow, alignment check, id. */
	const uint64_t interrupts = 0x202, every = 0x8d5 | 0x400 | 0x40000 | 0x200000;
	uint64_t x = 0x9e3779b97f4a7c15u * (round + 1);
	uint8_t *bytes = (uint8_t *)in;
	for (size_t i = 0; i < sizeof *in; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		bytes[i] = x;
	}
	in->gpr[2] = 100000; /* rounds of the loop */
	in->flags = interrupts | (round % 2 ? every : every & x);
	in->mxcsr = 0x1f80 | (round % 4) << 13 | (round % 2) << 15; /* rounding, flush to zero */
	in->control = 0x37f | (round % 4) << 10;
	for (int i = 0; i < 8; i++) { /* a normal number */
		in->x87[i][7] |= 0x80;
		in->x87[i][8] = 0xff, in->x87[i][9] = 0x3f;
	}
}

static void check(const struct image *in, const struct image *out)
{
	const uint64_t known = 0x200 | 0xcd5 | 0x40000 | 0x200000;
	for (int i = 0; i < 16; i++)
		if (i != 2 && i != 7 && in->gpr[i] != out->gpr[i])
			fail("general register");
	if ((in->flags ^ out->flags) & known)
		fail("flags");
	if (memcmp(in->redzone, out->redzone, sizeof in->redzone))
		fail("red zone");
	if (in->mxcsr != out->mxcsr || (in->control & 0xffff) != (out->control & 0xffff))
		fail("control word");
	if (memcmp(in->mask, out->mask, masks * sizeof *in->mask))
		fail("mask register");
	for (int i = 0; i < 8; i++)
		if (memcmp(in->x87[i], out->x87[i], 10))
			fail("x87 register");
	for (int i = 0; i < vectors; i++)
		if (memcmp(in->vector[i], out->vector[i], width))
			fail("vector register");
}

static volatile long computed, copied, called;

static void compute(void)
{
	struct image in, out;
	fill(&in, computed);
	errno = 4711;
	spin(&in, &out);
	if (errno != 4711)
		fail("errno");
	check(&in, &out);
	computed++;
}

static void *computes(void *arg)
{
	for (;;)
		compute();
	return arg;
}

/* Moves a block up by a few bytes, which has to be done backwards. */
static void *copies(void *arg)
{
	enum { size = 1 << 18, by = 24 };
	static uint8_t room[1 + size + by], want[size], *block = room + 1;
	for (;; copied++) {
		for (size_t i = 0; i < size; i++)
			block[i] = want[i] = i * 2654435761u >> 7 ^ copied;
		uint8_t *from = block + size - 1, *to = block + size + by - 1;
		long n = size;
		__asm__ volatile("std\n\trep movsb\n\tcld" : "+S"(from), "+D"(to), "+c"(n) : : "memory", "cc");
		if (n || from != block - 1 || memcmp(block + by, want, size))
			fail("rep movs");
	}
	return arg;
}

/* A system call that sleeps leaves the address behind it in rcx, the flags in
 * r11, and everything else as it was. */
static int channel[2];
static void *calls(void *arg)
{
	for (;; called++) {
		char byte;
		register uint64_t r8 __asm__("r8") = 88, r9 __asm__("r9") = 99, r10 __asm__("r10") = 1010;
		register uint64_t r11 __asm__("r11") = 1111;
		uint64_t rax = SYS_read, rdi = channel[0], rsi = (uintptr_t)&byte, rdx = 1, rcx = 22, here, flags;
		__asm__ volatile("lea 1f(%%rip), %7\n\tlea -128(%%rsp), %%rsp\n\tpushfq\n\tpop %8\n\tlea 128(%%rsp), %%rsp\n\t"
				 "syscall\n1:"
				 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+c"(rcx), "+r"(r11), "+r"(r10),
				   "=&r"(here), "=&r"(flags), "+r"(r8), "+r"(r9) : : "memory");
		if (rax != 1 || rdi != (uint64_t)channel[0] || rsi != (uintptr_t)&byte || rdx != 1 || r8 != 88 ||
		    r9 != 99 || r10 != 1010)
			fail("registers of a system call");
		if (rcx != here || r11 != flags)
			fail("rcx or r11 of a system call");
	}
	return arg;
}

static void *wakes(void *arg)
{
	for (;;) {
		rest(300);
		if (write(channel[1], "x", 1) != 1)
			fail("pipe");
	}
	return arg;
}

static void talk(void)
{
	char byte;
	ssize_t n = read(0, &byte, 1);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n != 1)
		_exit(n < 0);
	if (byte == 's')
		dprintf(1, "%ld %ld\n", computed, copied);
	else
		say_answer();
}

int main(int argc, char **argv)
{
	pthread_t t;
	void *(*others[])(void *) = { computes, copies, calls, wakes };
	int beside = argc > 1 && !strcmp(argv[1], "beside");
	choose();
	if (pipe(channel))
		fail("pipe");
	for (size_t i = 0; beside && i < sizeof others / sizeof *others; i++)
		if (pthread_create(&t, NULL, others[i], NULL))
			fail("pthread_create");
	dprintf(1, "ready\n");
	if (beside)
		for (;;)
			talk();
	fcntl(0, F_SETFL, O_NONBLOCK);
	for (;;) {
		compute();
		talk();
	}
}
