/* Linked with asked.c: threads that wait in system calls, which an operation on the process must not end early. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static volatile long ended;
static int quiet[2], deaf[2], epoll;
static void done(const char *what, int result)
{
	dprintf(2, "%s ends early: %d, errno %d\n", what, result, errno);
	ended++;
}
static void *reads(void *arg) { char c; done("read", read(quiet[0], &c, 1)); return arg; }
static void *polls(void *arg) { struct pollfd p = { quiet[0], POLLIN, 0 }; done("poll", poll(&p, 1, 600000)); return arg; }
static void *epolls(void *arg) { struct epoll_event e; done("epoll_wait", epoll_wait(epoll, &e, 1, -1)); return arg; }
static void *receives(void *arg) { char c; done("recv", recv(deaf[0], &c, 1, 0)); return arg; }
static void *sleeps(void *arg) { struct timespec t = { 600, 0 }; done("nanosleep", nanosleep(&t, NULL)); return arg; }
static void *semaphores(void *arg)
{
	static sem_t s;
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 600;
	sem_init(&s, 0, 0);
	done("sem_timedwait", sem_timedwait(&s, &t));
	return arg;
}
long wait_in_calls(void)
{
	void *(*all[])(void *) = { reads, polls, epolls, receives, sleeps, semaphores };
	struct timeval t = { 600, 0 };
	pthread_t id;
	if (pipe(quiet) || socketpair(AF_UNIX, SOCK_STREAM, 0, deaf) || setsockopt(deaf[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) ||
		(epoll = epoll_create1(0)) < 0)
		return -1;
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		if (pthread_create(&id, NULL, all[i], NULL))
			return -1;
	return sizeof all / sizeof *all;
}
long ended_early(void) { return ended; }
