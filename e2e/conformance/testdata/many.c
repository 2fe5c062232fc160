/* Linked with asked.c: a process with very many children. They answer a signal with what a function of the library
 * returns, and end when their parent does. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
long stress(long);
static int answers[2], life[2];
static long children;
static void answer(int sig)
{
	long n = stress(1);
	if (write(answers[1], &n, sizeof n) != sizeof n)
		_exit(3);
}
long spawn(long n)
{
	struct sigaction a = { .sa_handler = answer, .sa_flags = SA_RESTART };
	char byte;
	if (setpgid(0, 0) || pipe(answers) || pipe(life))
		return -1;
	sigaction(SIGUSR1, &a, NULL);
	for (children = 0; children < n; children++) {
		pid_t child = fork();
		if (child < 0)
			return -1;
		if (child == 0) {
			close(life[1]);
			_exit(read(life[0], &byte, 1) == 0 ? 0 : 4);
		}
	}
	signal(SIGUSR1, SIG_IGN);
	return children;
}
/* How many of the children give this answer. */
long how_many(long wanted)
{
	long n, count = 0;
	if (kill(0, SIGUSR1))
		return -1;
	for (long i = 0; i < children; i++) {
		if (read(answers[0], &n, sizeof n) != sizeof n)
			return -1;
		count += n == wanted;
	}
	return count;
}
