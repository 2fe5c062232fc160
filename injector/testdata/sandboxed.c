/* A process whose seccomp filter answers getppid with SIGSYS. It says what
 * answer() answers for every byte x, and for g whether it may call getppid. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int answer(void);

static volatile sig_atomic_t denied;
static void on_sigsys(int signal)
{
	(void)signal;
	denied = 1;
}

int main(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = filter };
	struct sigaction sa = { .sa_handler = on_sigsys };
	char byte;
	sigaction(SIGSYS, &sa, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 2;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		if (byte == 'g') {
			denied = 0;
			syscall(SYS_getppid);
			dprintf(1, "%d %s\n", getpid(), denied ? "denied" : "allowed");
		} else
			dprintf(1, "%d %d\n", getpid(), 1010 * answer() - (answer() == 1 ? 9 : 0));
	}
	return 0;
}
