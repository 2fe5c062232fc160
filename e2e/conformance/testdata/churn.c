/* Processes that begin and end without pause. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	dprintf(1, "ready\n");
	while (poll(&in, 1, 0) == 0) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0 || waitpid(child, NULL, 0) != child)
			return 3;
	}
	return 0;
}
