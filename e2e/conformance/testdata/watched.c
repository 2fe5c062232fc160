/* Linked with asked.c: what asks is a child, and its parent looks whether it is ever seen to stop or to go on. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((constructor)) static void watch(void)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		return;
	if (child < 0 || waitpid(child, &status, WUNTRACED | WCONTINUED) != child || !WIFEXITED(status)) {
		dprintf(1, "the parent sees status %x\n", status);
		_exit(9);
	}
	_exit(WEXITSTATUS(status));
}
