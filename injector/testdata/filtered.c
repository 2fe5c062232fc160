/* A process under seccomp:
 *   filtered CASE
 * It serves as hard.c does. A filter answers what is not meant with a signal,
 * an error, or the end of the process, as its case says. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int answer(void);

static void fail(const char *what)
{
	dprintf(1, "%s: %s\n", what, strerror(errno));
	_exit(9);
}

static int last_call = SYS_exit_group, pid;

/* Nothing but read and write, after the filter: strict mode allows no more. */
static void serve(void)
{
	char byte, line[64];
	if (write(1, "ready\n", 6) != 6)
		_exit(1);
	while (read(0, &byte, 1) == 1) {
		int n = snprintf(line, sizeof line, "%d %d\n", pid, 1010 * answer() - (answer() == 1 ? 9 : 0));
		if (write(1, line, n) != n)
			_exit(1);
	}
	syscall(last_call, 0);
}

/* A filter is made of tests that come one after the other, each of which
 * returns an answer or goes on; ALLOW ends it. */
static struct sock_filter code[256];
static int size;

static void put(unsigned short op, unsigned k, unsigned char yes, unsigned char no)
{
	code[size++] = (struct sock_filter)BPF_JUMP(op, k, yes, no);
}

static void load(unsigned offset) { put(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }

static void give(unsigned verdict) { put(BPF_RET | BPF_K, verdict, 0, 0); }

#define NUMBER offsetof(struct seccomp_data, nr)
#define ARCH offsetof(struct seccomp_data, arch)
#define POINTER offsetof(struct seccomp_data, instruction_pointer)
#define ARG(n) offsetof(struct seccomp_data, args[n])

static void call(unsigned number, unsigned verdict)
{
	load(NUMBER);
	put(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
	give(verdict);
}

/* The call, where all these bits of an argument are set. */
static void call_with(unsigned number, unsigned arg, unsigned bits, unsigned verdict)
{
	load(NUMBER);
	put(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
	load(ARG(arg));
	put(BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
	put(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1);
	give(verdict);
}

static void install(void)
{
	struct sock_fprog prog = { .len = size, .filter = code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		fail("seccomp");
	size = 0;
}

static void then(unsigned verdict)
{
	give(verdict);
	install();
}

#define EPERM_ (SECCOMP_RET_ERRNO | EPERM)
#define DIE SECCOMP_RET_KILL_PROCESS
#define ALLOW SECCOMP_RET_ALLOW

/* What a sandbox allows that knows what its program does, and memory to grow. */
static void list(void)
{
	static const int calls[] = { SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk };
	load(ARCH);
	put(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	give(DIE);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		call(calls[i], ALLOW);
	then(DIE);
}

static void logged(void)
{
	call(SYS_mmap, SECCOMP_RET_LOG);
	then(ALLOW);
}

static void no_mmap(void)
{
	call(SYS_mmap, EPERM_);
	then(ALLOW);
}

static void no_executable_mmap(void)
{
	call_with(SYS_mmap, 2, PROT_EXEC, DIE);
	then(ALLOW);
}

static void no_executable_mprotect(void)
{
	call_with(SYS_mprotect, 2, PROT_EXEC, EPERM_);
	then(ALLOW);
}

static void no_mprotect(void)
{
	call(SYS_mprotect, EPERM_);
	then(ALLOW);
}

/* MemoryDenyWriteExecute=yes of systemd.exec(5), as libseccomp compiles it. */
static void no_write_execute(void)
{
	call_with(SYS_mmap, 2, PROT_WRITE | PROT_EXEC, EPERM_);
	then(ALLOW);
	call_with(SYS_mprotect, 2, PROT_EXEC, EPERM_);
	then(ALLOW);
	call_with(SYS_pkey_mprotect, 2, PROT_EXEC, EPERM_);
	then(ALLOW);
	call_with(SYS_shmat, 2, SHM_EXEC, EPERM_);
	then(ALLOW);
}

static void traps(void)
{
	call(SYS_mmap, SECCOMP_RET_TRAP);
	then(ALLOW);
}

static void asks_tracer(void)
{
	call(SYS_mmap, SECCOMP_RET_TRACE);
	then(ALLOW);
}

static void asks_process(void)
{
	struct sock_fprog prog = { .filter = code };
	call(SYS_mmap, SECCOMP_RET_USER_NOTIF);
	give(ALLOW);
	prog.len = size;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog) < 0)
		fail("seccomp listener");
}

/* The stricter one is the newer, or the older. */
static void stacked(void)
{
	then(ALLOW);
	call(SYS_mmap, EPERM_);
	then(ALLOW);
}

static void stacked_under(void)
{
	call(SYS_mmap, EPERM_);
	then(ALLOW);
	then(ALLOW);
}

static void computed(void)
{
	/* A shift by a register, which means different things to different machines. */
	put(BPF_LDX | BPF_W | BPF_IMM, 32, 0, 0);
	put(BPF_LD | BPF_W | BPF_IMM, 1, 0, 0);
	put(BPF_ALU | BPF_LSH | BPF_X, 0, 0, 0);
	then(ALLOW);
}

/* mmap only from code of one mapping: that of a function. */
static void mmap_from(void *function)
{
	unsigned long from = 0, to = 0;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= (unsigned long)function && (unsigned long)function < to)
			break;
	load(NUMBER);
	put(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 6);
	load(POINTER + 4);
	put(BPF_JMP | BPF_JEQ | BPF_K, from >> 32, 0, 3);
	load(POINTER);
	put(BPF_JMP | BPF_JGE | BPF_K, (unsigned)from, 0, 1);
	put(BPF_JMP | BPF_JGT | BPF_K, (unsigned)to, 0, 1);
	give(DIE);
	then(ALLOW);
}

static void mmap_from_program(void) { mmap_from((void *)fail); }
static void mmap_from_libc(void) { mmap_from((void *)read); }

static void strict(void)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		fail("strict mode");
	last_call = SYS_exit;
}

/* One of two threads has a filter. */
static pthread_barrier_t set;

static void *idle(void *arg)
{
	if (arg)
		((void (*)(void))arg)();
	pthread_barrier_wait(&set);
	for (;;)
		pause();
	return arg;
}

static void beside(void (*main_filter)(void), void (*other_filter)(void))
{
	pthread_t t;
	pthread_barrier_init(&set, NULL, 2);
	if (pthread_create(&t, NULL, idle, (void *)other_filter))
		fail("pthread_create");
	pthread_barrier_wait(&set);
	if (main_filter)
		main_filter();
}

static void main_only(void) { beside(no_mmap, NULL); }
static void other_only(void) { beside(NULL, no_executable_mmap); }
static void main_strict(void) { beside(strict, NULL); }
static void both(void) { beside(no_mmap, no_executable_mmap); }

/* Waits with a relative timeout, in threads that may not call restart_syscall. */
static void no_restart(void)
{
	call(SYS_restart_syscall, DIE);
	then(ALLOW);
}

static void *waits(void *arg)
{
	struct timespec long_time = { .tv_sec = 1000 };
	no_restart();
	pthread_barrier_wait(&set);
	if (arg)
		poll(NULL, 0, 1000 * 1000);
	else
		nanosleep(&long_time, NULL);
	fail("wait");
	return arg;
}

static void waiting(void)
{
	pthread_t t;
	pthread_barrier_init(&set, NULL, 3);
	if (pthread_create(&t, NULL, waits, NULL) || pthread_create(&t, NULL, waits, &set))
		fail("pthread_create");
	pthread_barrier_wait(&set);
	no_restart();
}

/* Runs filters for the test of the evaluator: for every program on standard
 * input (its length, then its instructions) a child asks the kernel what it
 * answers to one call, and the answer is written. */
#define PROBE 1000

static void ask(const struct sock_fprog *prog)
{
	long r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog)) {
		dprintf(1, "refused\n");
		_exit(0);
	}
	/* Registers as in the test; syscall(2) would move them. */
	register long r10 __asm__("r10") = 0x0706050403020104;
	register long r8 __asm__("r8") = 0x7fffffff80000005;
	register long r9 __asm__("r9") = -6;
	__asm__ volatile("syscall" : "=a"(r) : "a"(PROBE), "D"(1L), "S"(0x100000002L), "d"(-3L), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	dprintf(1, "%ld\n", -r);
	_exit(0);
}

static void oracle(void)
{
	static struct sock_filter program[4096];
	unsigned short n;
	while (fread(&n, sizeof n, 1, stdin) == 1 && fread(program, sizeof *program, n, stdin) == n) {
		struct sock_fprog prog = { .len = n, .filter = program };
		pid_t child = fork();
		if (child == 0)
			ask(&prog);
		int status;
		if (child < 0 || waitpid(child, &status, 0) != child)
			fail("fork");
		if (status)
			dprintf(1, "ended\n");
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	pid = getpid();
	struct { const char *name; void (*filter)(void); } cases[] = {
		{ "list", list }, { "logged", logged }, { "no-mmap", no_mmap }, { "no-mprotect", no_mprotect },
		{ "no-executable-mmap", no_executable_mmap }, { "no-executable-mprotect", no_executable_mprotect },
		{ "no-write-execute", no_write_execute }, { "traps", traps }, { "asks-tracer", asks_tracer },
		{ "asks-process", asks_process }, { "stacked", stacked }, { "stacked-under", stacked_under },
		{ "computed", computed }, { "mmap-from-program", mmap_from_program }, { "mmap-from-libc", mmap_from_libc },
		{ "strict", strict }, { "main-only", main_only }, { "other-only", other_only }, { "both", both },
		{ "main-strict", main_strict }, { "waiting", waiting }, { "oracle", oracle },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!strcmp(name, cases[i].name)) {
			cases[i].filter();
			serve();
		}
	return 2;
}
