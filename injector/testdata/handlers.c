/* A thread that executes a signal handler, which has interrupted branchy() at
 * its first bytes:
 *   handlers plain STEP      after so many instructions of it
 *   handlers stack STEP      the handler has a stack of its own
 *   handlers nested STEP     another signal's handler has interrupted that one
 * It writes "inside OFFSET", and goes on when it has read a byte; then what
 * branchy(NULL) gives, that call first, then again for every further byte. */
#define _GNU_SOURCE
#include "case.h"
#include <stdint.h>
#include <ucontext.h>

int branchy(const int *p);

static int steps, nested;
static volatile uintptr_t inside;

static void wait_here(void)
{
	char byte;
	dprintf(1, "inside %ld\n", (long)inside);
	if (read(0, &byte, 1) != 1)
		_exit(0);
}

static void on_nested(int signal)
{
	(void)signal;
	wait_here();
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t at = regs[REG_RIP] - (uintptr_t)branchy;
	(void)signal, (void)info;
	if (at >= 32 || --steps)
		return; /* and on, step by step */
	regs[REG_EFL] &= ~0x100L;
	inside = at;
	if (nested)
		raise(SIGUSR1);
	else
		wait_here();
}

/* Calls with the trap flag set, so that there is a signal after every instruction. */
static int step_into(int (*function)(const int *))
{
	int result;
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcall *%1\n\tlea 128(%%rsp), %%rsp"
			 : "=a"(result) : "r"(function), "D"(NULL)
			 : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	return result;
}

int main(int argc, char **argv)
{
	static char stack[256 << 10];
	char byte;
	const char *mode = argc > 1 ? argv[1] : "";
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	struct sigaction other = { .sa_handler = on_nested };
	if (!strcmp(mode, "stack")) {
		sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
		trap.sa_flags |= SA_ONSTACK;
	}
	nested = !strcmp(mode, "nested");
	steps = argc > 2 ? atoi(argv[2]) : 1;
	sigaction(SIGTRAP, &trap, NULL);
	sigaction(SIGUSR1, &other, NULL);
	dprintf(1, "ready\n");
	dprintf(1, "%d\n", step_into(branchy));
	while (read(0, &byte, 1) == 1)
		dprintf(1, "%d\n", branchy(NULL));
	return 0;
}
