/* A process in an environment that it has made for itself:
 *   environment CASE
 * It serves as case.h says. Where that takes a child, it is the child that
 * serves, and the parent waits for it. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static void plain(void) {}

/* Memory never gains the right to be executed. */
static void mdwe(void)
{
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))
		fail("MDWE");
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ||
	    mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		fail("memory became executable");
}

static void no_new_privs(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("no_new_privs");
}

static void not_dumpable(void)
{
	if (prctl(PR_SET_DUMPABLE, 0))
		fail("dumpable");
}

/* As a daemon that drops what root may: it is not dumpable any more. */
static void changed_user(void)
{
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		fail("setresuid");
	if (prctl(PR_GET_DUMPABLE))
		fail("still dumpable");
}

static void into(int spaces)
{
	if (unshare(spaces))
		fail("unshare");
	if (spaces & CLONE_NEWNS && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("mount");
	if (!(spaces & CLONE_NEWPID))
		return;
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (child) {
		int status;
		waitpid(child, &status, 0);
		_exit(!WIFEXITED(status) || WEXITSTATUS(status));
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive the test */
}

static void user_namespace(void) { into(CLONE_NEWUSER); }
static void pid_namespace(void) { into(CLONE_NEWPID); }

/* Its files are at other places, and its own paths lead elsewhere. */
static void mount_namespace(void)
{
	into(CLONE_NEWNS);
	if (mount("none", "/tmp", "tmpfs", 0, NULL) || mount("none", "/proc", "tmpfs", 0, NULL))
		fail("mount");
}

static void container(void)
{
	into(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP);
	if (mount("none", "/tmp", "tmpfs", 0, NULL) || mount("none", "/proc", "proc", 0, NULL))
		fail("mount");
	mdwe();
	no_new_privs();
	not_dumpable();
}

/* A root folder in which nothing is. */
static void empty_root(void)
{
	char dir[] = "/tmp/lpbuild-root-XXXXXX";
	if (!mkdtemp(dir) || chroot(dir) || chdir("/") || rmdir("/"))
		if (errno != EBUSY && errno != ENOTEMPTY)
			fail("chroot");
}

/* All of its memory is to stay in memory, also what is mapped later. */
static void locked(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		fail("mlockall");
}

/* There is no more room for memory, by a limit of its own. */
static void limited(void)
{
	char line[256];
	unsigned long kilobytes = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "VmSize: %lu", &kilobytes);
	struct rlimit limit = { kilobytes << 10, kilobytes << 10 };
	if (!kilobytes || setrlimit(RLIMIT_AS, &limit))
		fail("setrlimit");
}

/* Code that is compiled while the program runs calls the function. */
static int (*compiled)(void);

static void serve_compiled(void)
{
	char byte;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		int a = compiled();
		dprintf(1, "%d %d\n", getpid(), a == 1 ? 1001 : 1010 * a);
	}
	_exit(0);
}

static void write_call(unsigned char *code)
{
	/* sub $8,%rsp; movabs $answer,%rax; call *%rax; add $8,%rsp; ret */
	static const unsigned char text[] = { 0x48, 0x83, 0xec, 8, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
					      0xff, 0xd0, 0x48, 0x83, 0xc4, 8, 0xc3 };
	void *function = (void *)answer;
	memcpy(code, text, sizeof text);
	memcpy(code + 6, &function, 8);
	compiled = (int (*)(void))code;
}

static void *runs_compiled(void *arg)
{
	for (;;)
		((int (*)(void))arg)();
	return arg;
}

static void jit(void)
{
	pthread_t t;
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	write_call(code);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC) || pthread_create(&t, NULL, runs_compiled, code))
		fail("compile");
	serve_compiled();
}

/* The same, beside every mapping that there is: wherever memory is mapped near
 * the library, other such memory is next to it, or between. */
static void jit_everywhere(void)
{
	unsigned long near = (unsigned long)answer & ~0xfffffUL, got = 0;
	for (unsigned long at = near - (1UL << 30); at < near + (1UL << 30); at += 1UL << 20) {
		unsigned char *code = mmap((void *)at, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (code == MAP_FAILED)
			continue;
		got++;
		write_call(code);
		if (mprotect(code, 8192, PROT_READ | PROT_EXEC))
			fail("compile");
	}
	if (got < 1000)
		fail("map");
	serve_compiled();
}

/* Nothing but gettimeofday of the vsyscall page, without end. */
static void *in_vsyscall(void *arg)
{
	for (;;)
		((long (*)(void *, void *))0xffffffffff600000UL)(arg, NULL);
	return arg;
}

static void vsyscall(void)
{
	static struct { long seconds, microseconds; } now;
	pthread_t t;
	if (pthread_create(&t, NULL, in_vsyscall, &now))
		fail("pthread_create");
}

/* 32-bit code in a 64-bit process, as Wine has it: nothing but a jump to itself. */
static void *in_32_bits(void *arg)
{
	__asm__ volatile("push $0x23\n\tpush %0\n\tlretq" : : "r"(arg) : "memory");
	return arg;
}

static void mixed(void)
{
	pthread_t t;
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (code == MAP_FAILED)
		fail("mmap");
	memcpy(code, "\xeb\xfe", 2);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC) || pthread_create(&t, NULL, in_32_bits, code))
		fail("pthread_create");
}

/* The same, and no other thread. */
static void mixed_only(void)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (code == MAP_FAILED)
		fail("mmap");
	memcpy(code, "\xeb\xfe", 2);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		fail("mprotect");
	dprintf(1, "ready\n");
	in_32_bits(code);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	struct { const char *name; void (*enter)(void); } cases[] = {
		{ "plain", plain }, { "mdwe", mdwe }, { "no-new-privs", no_new_privs }, { "not-dumpable", not_dumpable },
		{ "changed-user", changed_user }, { "user-namespace", user_namespace }, { "pid-namespace", pid_namespace },
		{ "mount-namespace", mount_namespace }, { "container", container }, { "empty-root", empty_root },
		{ "locked", locked }, { "limited", limited },
		{ "jit", jit }, { "jit-everywhere", jit_everywhere }, { "vsyscall", vsyscall },
		{ "mixed", mixed }, { "mixed-only", mixed_only },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!strcmp(name, cases[i].name)) {
			cases[i].enter();
			serve();
		}
	return 2;
}
