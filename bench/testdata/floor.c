/* The least for which any tracer can stop a whole process: attach to every
 * thread, interrupt all, wait for all, read their registers, let all go.
 *   floor PID
 * It changes nothing. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	static int tids[1 << 16];
	struct user_regs_struct regs;
	char name[64];
	struct dirent *entry;
	int n = 0;

	if (argc != 2 || snprintf(name, sizeof name, "/proc/%d/task", atoi(argv[1])) < 0)
		return 2;
	DIR *dir = opendir(name);
	while (dir && (entry = readdir(dir)) && n < 1 << 16)
		if (entry->d_name[0] != '.')
			tids[n++] = atoi(entry->d_name);
	for (int i = 0; i < n; i++)
		if (ptrace(PTRACE_SEIZE, tids[i], 0, 0))
			return perror("attach"), 1;
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_INTERRUPT, tids[i], 0, 0);
	for (int i = 0; i < n; i++)
		waitpid(tids[i], NULL, __WALL);
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_GETREGS, tids[i], 0, &regs);
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_DETACH, tids[i], 0, 0);
	return n == 0;
}
