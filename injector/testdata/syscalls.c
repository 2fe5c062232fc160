/* One thread in each system call that blocks, or the main thread in the one with
 * the given number, which is then the first that is asked to lend itself:
 *   syscalls hold [N]      none may ever return
 *   syscalls handled [N]   each gets signals with a handler without SA_RESTART, and
 *                      must answer EINTR once for each, unless it never does
 *   syscalls ignored [N]   each gets signals that are ignored, and must not return
 *   syscalls timeouts      one thread waits in the calls that keep their deadline
 *   syscalls count         says how many there are
 * The byte 's' asks for "HANDLED MISSED", the numbers of signals that were
 * handled and of those that no EINTR followed; or the number of timeouts that have passed, and 0. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

struct worker {
	const char *name;
	void (*prepare)(struct worker *w);
	long (*call)(struct worker *w);
	int restarts; /* whatever the handler says */
	int fd, other;
	pid_t tid;
	volatile int ready;
	volatile long handled, seen, missed;
};

static __thread struct worker *self;
static __thread char buffer[65536];
static const struct timespec long_time = { .tv_sec = 1000 };
static const struct timeval long_timeval = { .tv_sec = 1000 };
static struct timespec deadline;

static void must(int ok, const char *what)
{
	if (!ok)
		fail(what);
}

/* Descriptors to wait for. */
static void empty_pipe(struct worker *w)
{
	int p[2];
	must(!pipe(p), "pipe");
	w->fd = p[0], w->other = p[1];
}

/* The second pipe is to be written to. */
static void two_pipes(struct worker *w)
{
	empty_pipe(w);
	int first = w->fd;
	empty_pipe(w);
	w->fd = first;
}

static void full_pipe(struct worker *w)
{
	int p[2];
	must(!pipe2(p, O_NONBLOCK), "pipe");
	while (write(p[1], buffer, 4096) > 0)
		;
	fcntl(p[1], F_SETFL, 0);
	w->fd = p[1], w->other = p[0];
}

static void terminal(struct worker *w)
{
	w->other = posix_openpt(O_RDWR | O_NOCTTY);
	must(w->other >= 0 && !grantpt(w->other) && !unlockpt(w->other), "pty");
	w->fd = open(ptsname(w->other), O_RDWR | O_NOCTTY);
	must(w->fd >= 0, "pty");
}

static void event(struct worker *w) { must((w->fd = eventfd(0, 0)) >= 0, "eventfd"); }
static void notify(struct worker *w) { must((w->fd = inotify_init()) >= 0, "inotify"); }
static void timer(struct worker *w) { must((w->fd = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0, "timerfd"); }
static void poller(struct worker *w) { must((w->fd = epoll_create1(0)) >= 0, "epoll"); }

static void signal_file(struct worker *w)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must((w->fd = signalfd(-1, &set, 0)) >= 0, "signalfd");
}

static void timeouts(int fd)
{
	must(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &long_timeval, sizeof long_timeval) &&
	     !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &long_timeval, sizeof long_timeval), "setsockopt");
}

static void socket_without_timeout(struct worker *w)
{
	int pair[2];
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	while (send(pair[0], buffer, 16384, MSG_DONTWAIT) > 0)
		;
	w->fd = pair[0], w->other = pair[1];
}

/* Nothing to read, and no room to write. */
static void socket_with_timeout(struct worker *w)
{
	socket_without_timeout(w);
	timeouts(w->fd);
}

static void listener(struct worker *w)
{
	w->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	must(!bind(w->fd, (void *)&any, sizeof any.sun_family) && !listen(w->fd, 0), "listen");
	timeouts(w->fd);
}

/* A socket at which nobody accepts any more connections, and one to connect. */
static struct sockaddr_un full_unix;
static struct sockaddr_in full_tcp;
static socklen_t full_unix_size;

static void full_listener(struct worker *w)
{
	listener(w);
	full_unix_size = sizeof full_unix;
	getsockname(w->fd, (void *)&full_unix, &full_unix_size);
	int fd;
	do
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	while (!connect(fd, (void *)&full_unix, full_unix_size));
	w->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	timeouts(w->fd);
}

static void full_tcp_listener(struct worker *w)
{
	socklen_t size = sizeof full_tcp;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	full_tcp.sin_family = AF_INET;
	full_tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(!bind(fd, (void *)&full_tcp, size) && !listen(fd, 0), "listen");
	getsockname(fd, (void *)&full_tcp, &size);
	for (int i = 0; i < 4; i++)
		connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&full_tcp, size);
	w->fd = socket(AF_INET, SOCK_STREAM, 0);
	timeouts(w->fd);
}

static void semaphore(struct worker *w) { must((w->fd = semget(IPC_PRIVATE, 1, 0600)) >= 0, "semget"); }
static void queue(struct worker *w) { must((w->fd = msgget(IPC_PRIVATE, 0600)) >= 0, "msgget"); }

static void full_queue(struct worker *w)
{
	queue(w);
	*(long *)buffer = 1;
	while (!msgsnd(w->fd, buffer, 1024, IPC_NOWAIT))
		;
}

static void posix_queue(struct worker *w)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[32];
	snprintf(name, sizeof name, "/q%d-%d", getpid(), w->tid); /* two threads want one each */
	must((w->fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr)) >= 0, "mq_open");
	mq_unlink(name);
}

static void full_posix_queue(struct worker *w)
{
	posix_queue(w);
	must(!mq_send(w->fd, buffer, 8, 0), "mq_send");
}

static void child(struct worker *w)
{
	w->fd = fork();
	if (w->fd == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive the test */
		close(0), close(1);
		for (;;)
			pause();
	}
}

static void locked_file(struct worker *w)
{
	char name[64];
	struct flock all = { .l_type = F_WRLCK };
	w->other = memfd_create("locked", 0);
	snprintf(name, sizeof name, "/proc/self/fd/%d", w->other);
	w->fd = open(name, O_RDWR);
	must(w->fd >= 0 && !flock(w->other, LOCK_EX) && !fcntl(w->other, F_OFD_SETLK, &all), "lock");
}

static void aio(struct worker *w)
{
	aio_context_t *c = calloc(1, sizeof *c);
	must(!syscall(SYS_io_setup, 1, c), "io_setup");
	*(aio_context_t *)(buffer + 1024) = *c;
	w->fd = 0;
}

static void ring(struct worker *w)
{
	struct io_uring_params p = { 0 };
	w->fd = syscall(SYS_io_uring_setup, 1, &p);
}

/* The calls. */
static struct iovec *vector(void)
{
	static __thread struct iovec v;
	v.iov_base = buffer, v.iov_len = 4096;
	return &v;
}

static struct mmsghdr *messages(void)
{
	static __thread struct mmsghdr m;
	m = (struct mmsghdr){ .msg_hdr = { .msg_iov = vector(), .msg_iovlen = 1 } };
	return &m;
}

static long futex(int op, const struct timespec *timeout, void *second, uint32_t mask)
{
	static __thread uint32_t word;
	return syscall(SYS_futex, &word, op, 0, timeout, second, mask);
}

static long lock(struct worker *w, int command)
{
	struct flock all = { .l_type = F_WRLCK };
	return fcntl(w->fd, command, &all);
}

#define CALL(name, ...) static long call_##name(struct worker *w) { (void)w; return __VA_ARGS__; }
CALL(read, read(w->fd, buffer, 8))
CALL(readv, readv(w->fd, vector(), 1))
CALL(signalfd, read(w->fd, buffer, 128))
CALL(inotify, read(w->fd, buffer, 4096))
CALL(write, write(w->fd, buffer, 4096))
CALL(writev, writev(w->fd, vector(), 1))
CALL(splice, splice(w->fd, NULL, w->other, NULL, 1, 0))
CALL(vmsplice, vmsplice(w->fd, vector(), 1, 0))
CALL(futex_wait, futex(FUTEX_WAIT, NULL, NULL, 0))
CALL(futex_wait_timeout, futex(FUTEX_WAIT, &long_time, NULL, 0))
CALL(futex_wait_bitset, futex(FUTEX_WAIT_BITSET, &deadline, NULL, 1))
CALL(epoll_wait, epoll_wait(w->fd, (void *)buffer, 1, -1))
CALL(epoll_wait_timeout, epoll_wait(w->fd, (void *)buffer, 1, 1000000))
CALL(semop, semop(w->fd, &(struct sembuf){ .sem_op = -1 }, 1))
CALL(semtimedop, semtimedop(w->fd, &(struct sembuf){ .sem_op = -1 }, 1, &long_time))
CALL(pause, pause())
CALL(recv, recv(w->fd, buffer, 1, 0))
CALL(recvmsg, recvmsg(w->fd, &messages()->msg_hdr, 0))
CALL(recvmmsg, recvmmsg(w->fd, messages(), 1, 0, NULL))
CALL(send, send(w->fd, buffer, 32768, 0))
CALL(sendmsg, sendmsg(w->fd, &messages()->msg_hdr, 0))
CALL(sendmmsg, sendmmsg(w->fd, messages(), 1, 0))
CALL(nanosleep, syscall(SYS_nanosleep, &long_time, NULL))
CALL(clock_nanosleep, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &long_time, NULL))
CALL(clock_nanosleep_abs, syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &deadline, NULL))
CALL(poll, poll(NULL, 0, 1000000))
CALL(ppoll, ppoll(NULL, 0, NULL, NULL))
CALL(ppoll_constant, syscall(SYS_ppoll, NULL, 0, &long_time, NULL, 8))
CALL(select, select(0, NULL, NULL, NULL, NULL))
CALL(select_constant, syscall(SYS_select, 0, NULL, NULL, NULL, &long_timeval))
CALL(pselect6_constant, syscall(SYS_pselect6, 0, NULL, NULL, NULL, &long_time, NULL))
CALL(accept, accept(w->fd, NULL, NULL))
CALL(accept4, accept4(w->fd, NULL, NULL, SOCK_CLOEXEC))
CALL(connect, connect(w->fd, (void *)&full_unix, full_unix_size))
CALL(connect_tcp, connect(w->fd, (void *)&full_tcp, sizeof full_tcp))
CALL(msgrcv, msgrcv(w->fd, buffer, 1024, 0, 0))
CALL(msgsnd, msgsnd(w->fd, buffer, 1024, 0))
CALL(mq_timedreceive, mq_timedreceive(w->fd, buffer, 8, NULL, &deadline))
CALL(mq_timedsend, mq_timedsend(w->fd, buffer, 8, 0, &deadline))
CALL(wait4, wait4(w->fd, NULL, 0, NULL))
CALL(waitid, waitid(P_PID, w->fd, (siginfo_t *)buffer, WEXITED))
CALL(flock, flock(w->fd, LOCK_EX))
CALL(setlkw, lock(w, F_SETLKW))
CALL(ofd_setlkw, lock(w, F_OFD_SETLKW))
CALL(io_getevents, syscall(SYS_io_getevents, *(aio_context_t *)(buffer + 1024), 1, 1, buffer, NULL))
CALL(io_pgetevents, syscall(SYS_io_pgetevents, *(aio_context_t *)(buffer + 1024), 1, 1, buffer, &long_time, NULL))
CALL(io_uring_enter, syscall(SYS_io_uring_enter, w->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 8))

static long call_sendfile(struct worker *w)
{
	static __thread int file = -1;
	if (file < 0) {
		file = memfd_create("much", 0);
		must(!ftruncate(file, 1 << 20), "ftruncate");
	}
	off_t start = 0;
	return sendfile(w->fd, file, &start, 32768);
}

static long call_pselect(struct worker *w)
{
	sigset_t none;
	(void)w;
	sigemptyset(&none);
	return pselect(0, NULL, NULL, NULL, &long_time, &none);
}

static long call_epoll_pwait(struct worker *w)
{
	sigset_t none;
	sigemptyset(&none);
	return epoll_pwait(w->fd, (void *)buffer, 1, 1000000, &none);
}

static long call_epoll_pwait2(struct worker *w)
{
	sigset_t none;
	sigemptyset(&none);
	return epoll_pwait2(w->fd, (void *)buffer, 1, &long_time, &none);
}

static long call_sigsuspend(struct worker *w)
{
	sigset_t none;
	(void)w;
	sigemptyset(&none);
	return sigsuspend(&none);
}

static long call_sigtimedwait(struct worker *w)
{
	sigset_t set;
	(void)w;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return syscall(SYS_rt_sigtimedwait, &set, NULL, &long_time, 8);
}

static long call_futex_waitv(struct worker *w)
{
	static __thread uint32_t word;
	struct { uint64_t value, address; uint32_t flags, reserved; } v = { 0, (uintptr_t)&word, 2 /* FUTEX_32 */, 0 };
	(void)w;
	return syscall(449, &v, 1, 0, &deadline, CLOCK_REALTIME);
}

static volatile pid_t owner;
static long call_lock_pi(struct worker *w)
{
	static uint32_t owned;
	(void)w;
	while (!owner)
		rest(10);
	owned = owner; /* which never gives it back */
	return syscall(SYS_futex, &owned, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static long call_requeue_pi(struct worker *w)
{
	static __thread uint32_t second;
	(void)w;
	return futex(FUTEX_WAIT_REQUEUE_PI, NULL, &second, 0);
}

/* Calls that don't block must not fail either, nor be made twice. */
static long call_others(struct worker *w)
{
	int file = memfd_create("file", 0), fds[2];
	for (;;) {
		must(write(file, "x", 1) == 1 && !fsync(file), "fsync");
		must(getrandom(buffer, 256, 0) == 256, "getrandom");
		must(!pipe(fds) && !close(fds[0]) && !close(fds[1]), "close");
		for (int i = 0; i < 100; i++)
			must(!sched_yield(), "sched_yield");
		if (w->handled != w->seen) {
			errno = EINTR;
			return -1;
		}
		rest(200);
	}
}

/* Most names are given twice: what is prepared, and what is called. */
#define W(prepare, call) { #call, prepare, call_##call, 0, -1, -1, 0, 0, 0, 0, 0 }
#define NEVER(call) { #call, NULL, call_##call, 1, -1, -1, 0, 0, 0, 0, 0 }
static struct worker workers[] = {
	W(empty_pipe, read), W(terminal, read), W(event, read), W(timer, read), W(notify, inotify),
	W(signal_file, signalfd), W(empty_pipe, readv), W(socket_with_timeout, read), W(socket_with_timeout, readv),
	W(full_pipe, write), W(full_pipe, writev), W(full_pipe, vmsplice), W(socket_with_timeout, write),
	W(socket_with_timeout, writev), W(socket_without_timeout, write), W(two_pipes, splice),
	W(socket_with_timeout, sendfile), W(NULL, futex_wait), W(NULL, futex_wait_timeout), W(NULL, futex_wait_bitset),
	W(NULL, futex_waitv), NEVER(lock_pi), NEVER(requeue_pi), W(poller, epoll_wait), W(poller, epoll_wait_timeout),
	W(poller, epoll_pwait), W(poller, epoll_pwait2), W(semaphore, semop), W(semaphore, semtimedop),
	W(NULL, sigtimedwait), W(NULL, sigsuspend), W(NULL, pause), W(socket_with_timeout, recv),
	W(socket_with_timeout, recvmsg), W(socket_with_timeout, recvmmsg), W(socket_with_timeout, send),
	W(socket_with_timeout, sendmsg), W(socket_with_timeout, sendmmsg), W(socket_without_timeout, recv),
	W(socket_without_timeout, send), W(NULL, nanosleep), W(NULL, clock_nanosleep), W(NULL, clock_nanosleep_abs),
	W(NULL, poll), W(NULL, ppoll), W(NULL, ppoll_constant), W(NULL, select), W(NULL, select_constant),
	W(NULL, pselect), W(NULL, pselect6_constant), W(listener, accept), W(listener, accept4), W(full_listener, connect),
	W(full_tcp_listener, connect_tcp), W(queue, msgrcv), W(full_queue, msgsnd), W(posix_queue, mq_timedreceive),
	W(full_posix_queue, mq_timedsend), W(child, wait4), W(child, waitid), W(locked_file, flock),
	W(locked_file, setlkw), W(locked_file, ofd_setlkw), W(aio, io_getevents), W(aio, io_pgetevents),
	W(ring, io_uring_enter), W(NULL, others),
};
/* Those that are used. */
static struct worker *first = workers, *last = workers + sizeof workers / sizeof *workers;

static void *work(void *arg)
{
	char what[128];
	struct worker *w = self = arg;
	w->tid = syscall(SYS_gettid);
	if (w->prepare)
		w->prepare(w);
	if (w->prepare == ring && w->fd < 0)
		w->call = call_pause; /* a kernel without it */
	w->ready = 1;
	for (;;) {
		long r = w->call(w);
		if (r != -1 || errno != EINTR || w->handled == w->seen) {
			snprintf(what, sizeof what, "%s (%ld) gives %ld, %ld signals handled, %ld seen", w->name,
				 w - workers, r, w->handled, w->seen);
			fail(what);
		}
		w->missed += w->handled - w->seen - 1;
		w->seen = w->handled;
	}
	return arg;
}

static void on_signal(int signal)
{
	(void)signal;
	if (self)
		self->handled++;
}

/* Waits until a thread is blocked in a system call. */
static void await_blocked(struct worker *w)
{
	char name[64], text[64];
	snprintf(name, sizeof name, "/proc/self/task/%d/syscall", w->tid);
	for (;;) {
		int fd = open(name, O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
		close(fd);
		if (n > 0 && text[0] >= '0' && text[0] <= '9')
			return;
		rest(20);
	}
}

static void *send_handled(void *arg)
{
	for (;; rest(100))
		for (struct worker *w = first; w < last; w++) {
			if (w->handled - w->seen == 0 || w->restarts)
				await_blocked(w);
			long before = w->handled, start = microseconds();
			syscall(SYS_tgkill, getpid(), w->tid, SIGUSR1);
			while (w->handled == before)
				rest(10);
			while (!w->restarts && w->seen != w->handled && microseconds() - start < 20000)
				rest(10);
		}
	return arg;
}

static void *send_ignored(void *arg)
{
	for (;; rest(100))
		for (struct worker *w = first; w < last; w++) {
			syscall(SYS_tgkill, getpid(), w->tid, SIGCHLD);
			syscall(SYS_tgkill, getpid(), w->tid, SIGURG);
		}
	return arg;
}

/* Calls whose relative timeout goes on across a stop. */
static volatile long passed;
static void *keep_time(void *arg)
{
	const long least = 100000;
	for (;; passed++) {
		struct timespec t = { .tv_nsec = least * 1000 };
		struct timeval v = { .tv_usec = least };
		long start = microseconds(), r = 0;
		switch (passed % 8) {
		case 0: r = poll(NULL, 0, least / 1000); break;
		case 1: r = syscall(SYS_nanosleep, &t, &t); break;
		case 2: r = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, &t); break;
		case 3: r = futex(FUTEX_WAIT, &t, NULL, 0); break;
		case 4: r = syscall(SYS_ppoll, NULL, 0, &t, NULL, 8); break;
		case 5: r = syscall(SYS_select, 0, NULL, NULL, NULL, &v); break;
		case 6: r = syscall(SYS_pselect6, 0, NULL, NULL, NULL, &t, NULL); break;
		case 7: r = usleep(least); break;
		}
		if ((r && errno != ETIMEDOUT) || microseconds() - start < least)
			fail("timeout");
	}
	return arg;
}

static void statistics(void)
{
	long handled = passed, missed = 0;
	for (struct worker *w = first; w < last; w++)
		if (!w->restarts) {
			handled += w->handled;
			missed += w->missed;
		}
	dprintf(1, "%ld %ld\n", handled, missed);
}

static void *talk(void *arg)
{
	char byte;
	pthread_t t;
	const char *mode = arg;
	owner = syscall(SYS_gettid);
	void *(*beside)(void *) = !strcmp(mode, "handled") ? send_handled : !strcmp(mode, "ignored") ? send_ignored :
		!strcmp(mode, "timeouts") ? keep_time : NULL;
	for (struct worker *w = first; w < last; w++) {
		while (!w->ready)
			rest(10);
		await_blocked(w);
	}
	must(!beside || !pthread_create(&t, NULL, beside, NULL), "pthread_create");
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		if (byte == 's')
			statistics();
		else
			say_answer();
	_exit(0);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	sigset_t set;
	const char *mode = argc > 1 ? argv[1] : "";
	struct sigaction sa = { .sa_handler = on_signal };
	unshare(CLONE_NEWIPC); /* what it leaves there goes with it */
	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 1000;
	if (!strcmp(mode, "count"))
		return dprintf(1, "%td\n", last - first) < 0;
	if (!strcmp(mode, "timeouts"))
		last = first;
	if (argc > 2) {
		first += atoi(argv[2]);
		last = first + 1;
		must(!pthread_create(&t, NULL, talk, (void *)mode), "pthread_create");
		work(first);
	}
	for (struct worker *w = first; w < last; w++)
		must(!pthread_create(&t, NULL, work, w), "pthread_create");
	talk((void *)mode);
}
