/* A process in which answer() or second() of sitting.c is in use, in the way
 * that its argument names. Commands on standard input:
 *   x  call answer(), and say "PID ANSWER"
 *   e  enter: begin the use; "in" when it has begun
 *   l  leave: end it; "out" when it has ended
 * End of file ends the process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

int answer(int how);
int second(volatile int *until);

/* What answer() does meanwhile. */
enum { NOTHING, BLOCK, SPIN, YIELD, CHILD, DEEP };

static const char *kind;
static int enter[2], leave[2];
static volatile int until[2];
static pthread_t thread;
static ucontext_t scheduler, coroutine;

static int is(const char *name) { return !strcmp(kind, name); }

static void await(int fd)
{
	char c;
	if (read(fd, &c, 1) != 1)
		_exit(4); /* an interrupted read must have been restarted */
}

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(5);
}

static int block(void)
{
	tell(enter[1]);
	await(leave[0]);
	return 0;
}

static int spin(void)
{
	tell(enter[1]);
	while (!until[0])
		;
	return 0;
}

static int yield(void)
{
	swapcontext(&coroutine, &scheduler);
	return 0;
}

static int child(void)
{
	int status;
	pid_t pid = vfork();
	if (!pid) {
		tell(enter[1]);
		await(leave[0]);
		_exit(0);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status ? -1 : 0;
}

static void handler(int sig)
{
	(void)sig;
	block();
}

static void *use(void *arg)
{
	if (is("spinning"))
		answer(SPIN);
	else if (is("vforking"))
		answer(CHILD);
	else if (is("interrupted") || is("interrupted-elsewhere")) {
		stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
		struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
		if (is("interrupted-elsewhere"))
			sigaltstack(&alt, NULL);
		sigaction(SIGUSR1, &sa, NULL);
		second(until);
	} else
		answer(BLOCK);
	return arg;
}

static void co(void) { answer(YIELD); }

/* Leaves traces of answer() all over the stack, below what is in use. */
static int deep(void)
{
	static int depth;
	return depth++ < 50 ? answer(DEEP) : (depth = 0);
}

int meanwhile(int how)
{
	switch (how) {
	case BLOCK:
		return block();
	case SPIN:
		return spin();
	case YIELD:
		return yield();
	case CHILD:
		return child();
	}
	return deep();
}

static void *visit(void *arg)
{
	answer(DEEP);
	return arg;
}

static void begin(void)
{
	if (is("coroutine") || is("mapped-coroutine")) {
		size_t size = 64 << 10;
		getcontext(&coroutine);
		coroutine.uc_stack.ss_sp = is("coroutine") ? malloc(size) :
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		coroutine.uc_stack.ss_size = size;
		coroutine.uc_link = &scheduler;
		makecontext(&coroutine, co, 0);
		swapcontext(&scheduler, &coroutine);
	} else if (is("visited")) {
		visit(NULL);
		for (int i = 0; i < 20; i++) {
			pthread_create(&thread, NULL, visit, NULL);
			pthread_join(thread, NULL);
		}
	} else {
		pthread_create(&thread, NULL, use, NULL);
		if (!strncmp(kind, "interrupted", 11)) {
			while (!until[1])
				;
			pthread_kill(thread, SIGUSR1);
		}
		await(enter[0]);
	}
}

static void end(void)
{
	until[0] = 1;
	if (is("coroutine") || is("mapped-coroutine"))
		swapcontext(&scheduler, &coroutine);
	else if (!is("visited")) {
		if (!is("spinning"))
			tell(leave[1]);
		pthread_join(thread, NULL);
	}
	until[0] = until[1] = 0;
}

/* Memory: SIZE MiB that were written, and 16 GiB that were not. */
static void fill(size_t size)
{
	char *p = mmap(NULL, size << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, size << 20);
	mmap(NULL, 16ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Memory that looks like control blocks of 60,000 threads, each with a stack of its own, and like 60,000 frames in
 * each of them. */
static void forge(void)
{
	const size_t n = 60000, size = n * 64 + 4096;
	const unsigned char *code = (void *)answer;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (code[-5] != 0xe8) /* a call: what follows is a return address */
		code++;
	for (size_t i = 0; i < n; i++) {
		void **block = (void **)(p + 4096 + i * 64);
		block[0] = block[2] = block;
		block[3] = p;
		block[4] = (void *)((char *)block - p + 4096);
		block[5] = NULL;
		block[7] = (void *)code;
	}
}

int main(int argc, char **argv)
{
	char c;
	kind = argv[1];
	if (pipe(enter) || pipe(leave))
		return 2;
	if (is("forging"))
		forge();
	if (argc > 2)
		fill(atoi(argv[2]));
	answer(NOTHING);
	dprintf(1, "ready\n");
	while (read(0, &c, 1) == 1) {
		if (c == 'x')
			dprintf(1, "%d %d\n", getpid(), answer(NOTHING));
		if (c == 'e') {
			begin();
			dprintf(1, "in\n");
		}
		if (c == 'l') {
			end();
			dprintf(1, "out\n");
		}
	}
	return 0;
}
