/* One process for each hard case:
 *   hard CASE
 * It writes "ready" when it is there, then for every byte on standard input
 * what answer() answers, as target.c does. Whatever goes wrong ends it with a
 * line that says what. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int answer(void);

static void fail(const char *what)
{
	dprintf(1, "%s: %s\n", what, strerror(errno));
	_exit(9);
}

static void serve(void)
{
	char byte;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		dprintf(1, "%d %d\n", getpid(), 1010 * answer() - (answer() == 1 ? 9 : 0));
	_exit(0);
}

static void *server(void *arg)
{
	serve();
	return arg;
}

/* Threads blocked in calls that the kernel ends with EINTR after a stop. */
static void *in_epoll(void *arg)
{
	struct epoll_event ev;
	int fd = epoll_create1(0);
	epoll_wait(fd, &ev, 1, -1);
	fail("epoll_wait");
	return arg;
}

static void *in_semtimedop(void *arg)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec long_time = { .tv_sec = 1000 };
	int id = semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT);
	*(int *)arg = id;
	if (semtimedop(id, &op, 1, &long_time) && errno == EIDRM)
		return arg; /* the end of the test */
	fail("semtimedop");
	return arg;
}

static void *in_sigtimedwait(void *arg)
{
	sigset_t set;
	struct timespec long_time = { .tv_sec = 1000 };
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigtimedwait(&set, NULL, &long_time);
	fail("sigtimedwait");
	return arg;
}

static void *in_recv(void *arg)
{
	int pair[2];
	char byte;
	struct timeval long_time = { .tv_sec = 1000 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time))
		fail("socketpair");
	recv(pair[0], &byte, 1, 0);
	fail("recv");
	return arg;
}

static void *in_send(void *arg)
{
	int pair[2];
	static char much[65536];
	struct timeval long_time = { .tv_sec = 1000 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &long_time, sizeof long_time))
		fail("socketpair");
	while (send(pair[0], much, sizeof much, MSG_DONTWAIT) > 0)
		;
	send(pair[0], much, sizeof much, 0);
	fail("send");
	return arg;
}

static void *in_poll(void *arg)
{
	poll(NULL, 0, 1000 * 1000);
	fail("poll");
	return arg;
}

static void *in_nanosleep(void *arg)
{
	struct timespec long_time = { .tv_sec = 1000 };
	nanosleep(&long_time, NULL);
	fail("nanosleep");
	return arg;
}

static int semaphore = -1;

static void blocked(void)
{
	void *(*calls[])(void *) = { in_epoll, in_semtimedop, in_sigtimedwait, in_recv, in_send, in_poll, in_nanosleep };
	pthread_t t;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (pthread_create(&t, NULL, calls[i], &semaphore))
			fail("pthread_create");
	char byte;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		dprintf(1, "%d %d\n", getpid(), 1010 * answer() - (answer() == 1 ? 9 : 0));
	if (semaphore >= 0)
		semctl(semaphore, 0, IPC_RMID);
	_exit(0);
}

/* Signals without pause; each is counted, none may be lost or seen as EINTR. */
static volatile sig_atomic_t handled;
static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static void signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 200 }, { 0, 200 } };
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	serve();
}

/* The main thread ends, the others go on. */
static void headless(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, server, NULL))
		fail("pthread_create");
	pthread_exit(NULL);
}

/* A thread that dies of mmap sleeps before one that does not. */
static void *dies_of_mmap(void *arg)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		fail("seccomp");
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return arg;
}

static void computing(void);

static void part_filtered(void)
{
	static pthread_barrier_t filter;
	pthread_t t;
	pthread_barrier_init(&filter, NULL, 2);
	if (pthread_create(&t, NULL, dies_of_mmap, &filter))
		fail("pthread_create");
	pthread_barrier_wait(&filter);
	if (pthread_create(&t, NULL, server, NULL))
		fail("pthread_create");
	computing();
}

/* Threads that live for a moment, each of which starts the next. */
static void *link_of_chain(void *arg)
{
	pthread_t t;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (pthread_create(&t, &attr, link_of_chain, NULL))
		if (errno != EAGAIN)
			fail("pthread_create");
	return arg;
}

static void chain(void)
{
	link_of_chain(NULL);
	link_of_chain(NULL);
	link_of_chain(NULL);
	serve();
}

/* A thread other than the first calls exec when it is told to. */
static void *calls_exec(void *arg)
{
	char byte;
	dprintf(1, "ready\n");
	if (read(0, &byte, 1) == 1)
		execl("/bin/true", "true", (char *)NULL);
	fail("exec");
	return arg;
}

static void execs(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, in_poll, NULL) || pthread_create(&t, NULL, calls_exec, NULL))
		fail("pthread_create");
	in_poll(NULL);
}

/* System calls from anywhere but libc are a signal (as under Wine), and from the
 * last page of its code, where there is room for others. */
static void dispatched(void)
{
	static char block = 1;
	unsigned long from = 0, to = 0;
	char line[512], perms[8];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3 && !strcmp(perms, "r-xp") &&
		    from <= (unsigned long)read && (unsigned long)read < to)
			break;
	if (prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, from, to - 4096 - from, &block))
		fail("syscall user dispatch");
	serve();
}

/* The child of a vfork waits in the same memory, its parent does not stop. */
static void *forks(void *arg)
{
	pid_t child = vfork();
	if (child == 0) {
		char byte;
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive the test */
		if (read(*(int *)arg, &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return arg;
}

static void vforked(void)
{
	static int hold[2];
	pthread_t t;
	if (pipe(hold) || pthread_create(&t, NULL, forks, &hold[0]))
		fail("pipe");
	serve();
}

/* Registers that only this thread uses must survive whatever happens. */
static void *computes(void *arg)
{
	double a = 1.5, b = 2.25;
	unsigned long c = 0x123456789abcdefUL, d = 77;
	for (;;) {
		__asm__ volatile("movapd %0, %%xmm7\n\tmovapd %1, %%xmm9\n\t"
				 "mov %2, %%r10\n\tmov %3, %%r11\n\t"
				 "mov $2000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b\n\t"
				 "movapd %%xmm7, %0\n\tmovapd %%xmm9, %1\n\tmov %%r10, %2\n\tmov %%r11, %3"
				 : "+x"(a), "+x"(b), "+r"(c), "+r"(d) : : "xmm7", "xmm9", "r10", "r11", "rcx");
		errno = 4711;
		if (a != 1.5 || b != 2.25 || c != 0x123456789abcdefUL || d != 77)
			fail("registers");
	}
	return arg;
}

static void computing(void)
{
	computes(NULL);
}

static void computing_beside(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, server, NULL))
		fail("pthread_create");
	computing();
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	struct { const char *name; void (*run)(void); } cases[] = {
		{ "plain", serve }, { "blocked", blocked }, { "signals", signals }, { "headless", headless },
		{ "part-filtered", part_filtered }, { "dispatched", dispatched },
		{ "chain", chain }, { "execs", execs },
		{ "vforked", vforked }, { "computing", computing_beside },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!strcmp(name, cases[i].name))
			cases[i].run();
	return 2;
}
