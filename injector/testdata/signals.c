/* Signals that are counted, none of which may be lost, come twice or overtake
 * another, for a process that
 *   signals sleep   sleeps while it has nothing to do
 *   signals work    never sleeps
 * A timer ends 5,000 times a second, and a child queues signals with numbers in
 * bursts. The byte 's' ends both; the answer is how many came and how many were
 * to come. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <sys/prctl.h>

#define TIMER SIGRTMIN
#define QUEUED (SIGRTMIN + 1)
#define PERIOD 200 /* microseconds */

static volatile long ticks, queued;

static void on_tick(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	int saved = errno;
	ticks += 1 + info->si_overrun;
	errno = saved;
}

static void on_queued(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	if (info->si_value.sival_int != queued)
		fail("out of turn");
	queued++;
}

/* The child sends until its standard input ends, then tells how many. */
static pid_t start_sender(int stop[2], int sent[2])
{
	if (pipe(stop) || pipe(sent))
		fail("pipe");
	pid_t parent = getpid(), child = fork();
	if (child)
		return child;
	char byte;
	long n = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(1), close(stop[1]);
	fcntl(stop[0], F_SETFL, O_NONBLOCK);
	while (read(stop[0], &byte, 1) != 0) {
		for (int i = 0; i < 64; i++) {
			while (sigqueue(parent, QUEUED, (union sigval){ .sival_int = n }))
				rest(100); /* the queue is full */
			n++;
		}
		rest(5000);
	}
	_exit(write(sent[1], &n, sizeof n) != sizeof n);
}

static timer_t start_timer(void)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = TIMER };
	struct itimerspec often = { { 0, PERIOD * 1000 }, { 0, PERIOD * 1000 } };
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &often, NULL))
		fail("timer");
	return timer;
}

/* Ends both sources, and waits for what is on its way. */
static void settle(timer_t timer, int stop[2], int sent[2], long start)
{
	long n, due;
	close(stop[1]);
	if (read(sent[0], &n, sizeof n) != sizeof n)
		fail("sender");
	while (queued < n)
		rest(100);
	struct itimerspec never = { { 0, 0 }, { 0, 0 } };
	timer_settime(timer, 0, &never, NULL);
	due = (microseconds() - start) / PERIOD;
	rest(10000);
	/* The clock is read a moment before or after the timer is set. */
	if (due - ticks < 50 && ticks - due < 50)
		due = ticks;
	dprintf(1, "%ld %ld\n", queued + ticks, n + due);
}

int main(int argc, char **argv)
{
	int stop[2], sent[2], work = argc > 1 && !strcmp(argv[1], "work");
	char byte;
	struct sigaction tick = { .sa_sigaction = on_tick, .sa_flags = SA_RESTART | SA_SIGINFO };
	struct sigaction queue = { .sa_sigaction = on_queued, .sa_flags = SA_RESTART | SA_SIGINFO };
	sigaction(TIMER, &tick, NULL);
	sigaction(QUEUED, &queue, NULL);
	start_sender(stop, sent);
	close(stop[0]), close(sent[1]);
	timer_t timer = start_timer();
	long start = microseconds();
	dprintf(1, "ready\n");
	if (work)
		fcntl(0, F_SETFL, O_NONBLOCK);
	for (;;) {
		ssize_t n = read(0, &byte, 1);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n != 1)
			_exit(n < 0);
		if (byte == 's')
			settle(timer, stop, sent, start);
		else
			say_answer();
	}
}
