/* Functions that are in use for as long as it takes: greet() and other() are patched, meanwhile() is what greet() calls.
 *   stay 0        greet() waits for commands, in the middle of the stack
 *   stay 1        greet() turns in a loop of its own until SIGUSR1 comes
 *   stay 2        three threads; one stays in greet() until "release"
 *   stay 3, 4     a coroutine is left in greet() until "release": on a stack from malloc, by swapcontext; on one from
 *                 mmap that a list holds, by longjmp, as QEMU does
 * Each says UNPATCHED or PATCHED when it begins, IN when it is where it stays, OUT when it has left. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "say.h"

enum { NOT, MIDDLE, TOP, THREAD, COROUTINE, LISTED };
void meanwhile(int how);
int let_go(void);

#ifdef PATCH
void greet_lp(int how)
{
	say_line("PATCHED\n");
	if (how == TOP)
		while (!let_go())
			;
	if (how != NOT)
		meanwhile(how);
	STAYS;
}
void other_lp(void) { say_line("PATCHED\n"); }
#else

static volatile sig_atomic_t signalled;
static int release_pipe[2], kind;
static pthread_t threads[3];
static ucontext_t scheduler, coroutine;
static jmp_buf back, forth;
static struct listed { struct listed *next; void *stack; } *list;

int let_go(void)
{
	static int said;
	if (!said)
		say_line("IN\n");
	said = !signalled;
	return signalled;
}

OPAQUE void greet(int how)
{
	say_line("UNPATCHED\n");
	if (how == TOP)
		while (!let_go())
			;
	if (how != NOT)
		meanwhile(how);
	STAYS;
}

OPAQUE void other(void) { say_line("UNPATCHED\n"); }

static void wait_for_release(void)
{
	char c;
	if (read(release_pipe[0], &c, 1) != 1)
		_exit(7);
}

/* Whatever greet() is in the middle of. */
OPAQUE void meanwhile(int how)
{
	if (how != TOP && how != COROUTINE && how != LISTED)
		say_line("IN\n");
	if (how == MIDDLE) {
		extern void commands(void);
		commands();
	} else if (how == THREAD)
		wait_for_release();
	else if (how == COROUTINE)
		swapcontext(&coroutine, &scheduler);
	else if (how == LISTED && !_setjmp(forth))
		_longjmp(back, 1);
}

static void *stay_in_thread(void *arg)
{
	greet(THREAD);
	return arg;
}

static void *idle(void *arg)
{
	wait_for_release();
	return arg;
}

static void in_coroutine(void) { greet(COROUTINE); }

static void in_listed(void)
{
	greet(LISTED);
	_longjmp(back, 1);
}

static void begin_coroutine(void (*f)(void), void *stack, size_t size)
{
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = size;
	coroutine.uc_link = &scheduler;
	makecontext(&coroutine, f, 0);
	if (f == in_coroutine)
		swapcontext(&scheduler, &coroutine);
	else if (!_setjmp(back))
		setcontext(&coroutine);
	say_line("IN\n");
}

static void on_signal(int sig) { signalled = sig; }

void stay(int how)
{
	const size_t size = 64 << 10;
	kind = how + 1;
	if (how < 2) {
		signal(SIGUSR1, on_signal);
		greet(kind);
		signalled = 0;
		say_line("OUT\n");
		return;
	}
	if (pipe(release_pipe))
		_exit(6);
	if (kind == THREAD) {
		pthread_create(&threads[0], NULL, idle, NULL);
		pthread_create(&threads[2], NULL, idle, NULL);
		pthread_create(&threads[1], NULL, stay_in_thread, NULL);
	} else if (kind == COROUTINE)
		begin_coroutine(in_coroutine, malloc(size), size);
	else {
		list = malloc(sizeof *list);
		*list = (struct listed){NULL, mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
		begin_coroutine(in_listed, list->stack, size);
	}
}

void release(void)
{
	if (kind == THREAD) {
		for (int i = 0; i < 3; i++)
			if (write(release_pipe[1], "xxx", 1) != 1)
				_exit(5);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
	} else if (kind == COROUTINE) {
		swapcontext(&scheduler, &coroutine);
		free(coroutine.uc_stack.ss_sp);
	} else {
		if (!_setjmp(back))
			_longjmp(forth, 1);
		munmap(list->stack, 64 << 10);
	}
	say_line("OUT\n");
}
#endif
