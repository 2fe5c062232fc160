/* A thread that is in a restartable sequence most of the time, and makes sure
 * that it is one: the kernel still knows of it when it ends. The byte 's' asks
 * how many have ended, and how many were aborted. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <sys/rseq.h>

static long ended, aborted;

static void sequence(void)
{
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	__asm__ volatile goto(
		".pushsection .data.rseq, \"aw\"\n\t.balign 32\n3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
		"lea 3b(%%rip), %%rax\n\tmov %%rax, 8(%0)\n"
		"1:\tmov (%1), %%rdx\n\tmov $3000, %%ecx\n"
		"5:\tdec %%ecx\n\tjnz 5b\n\t"
		"cmp %%rax, 8(%0)\n\tjne %l[lost]\n\t"
		"inc %%rdx\n\tmov %%rdx, (%1)\n"
		"2:\n\t"
		".pushsection .text.rseq, \"ax\"\n\t.byte 0x0f, 0xb9, 0x3d\n\t.long %c2\n4:\tjmp %l[abort]\n\t.popsection"
		: : "r"(area), "r"(&ended), "i"(RSEQ_SIG) : "rax", "rcx", "rdx", "memory", "cc" : lost, abort);
	return;
abort:
	aborted++;
	return;
lost:
	fail("the kernel has forgotten the restartable sequence");
}

int main(void)
{
	char byte;
	if (__rseq_size == 0) {
		dprintf(1, "none\n");
		return 0;
	}
	dprintf(1, "ready\n");
	fcntl(0, F_SETFL, O_NONBLOCK);
	for (;;) {
		for (int i = 0; i < 100; i++) {
			sequence();
			for (volatile int j = 0; j < 300; j++)
				;
		}
		ssize_t n = read(0, &byte, 1);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n != 1)
			_exit(n < 0);
		if (byte == 's')
			dprintf(1, "%ld %ld\n", ended, aborted);
		else
			say_answer();
	}
}
