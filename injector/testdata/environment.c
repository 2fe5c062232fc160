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

/* The same, and no other thread. It says itself when it is there. */
static void mixed_only(void)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (code == MAP_FAILED)
		fail("mmap");
	unsigned text = (unsigned)(unsigned long)code + 64;
	memcpy(code, "\xb8\4\0\0\0" "\xbb\1\0\0\0" "\xb9", 11); /* mov $SYS_write,%eax; mov $1,%ebx; */
	memcpy(code + 11, &text, 4);				  /* mov $text,%ecx; */
	memcpy(code + 15, "\xba\6\0\0\0" "\xcd\x80" "\xeb\xfe", 9); /* mov $6,%edx; int $0x80; 1: jmp 1b */
	memcpy(code + 64, "ready\n", 6);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		fail("mprotect");
	in_32_bits(code);
}

/* Code that turns to 32 bits and back, without pause, between what it does
 * otherwise. The registers that 32-bit code keeps are those of 64-bit code. */
static void alternating(void)
{
	static const unsigned char in_32[] = { 0xb9, 0x20, 0x4e, 0, 0,	  /* mov $20000,%ecx */
					       0x49, 0x75, 0xfd, 0xcb }; /* 1: dec %ecx; jnz 1b; lret */
	unsigned char *code = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (code == MAP_FAILED)
		fail("mmap");
	unsigned low = (unsigned)(unsigned long)code, data = low + 4096, top = low + 12288;
	unsigned char *p = code + 64;
	memcpy(code, in_32, sizeof in_32);
	memcpy(code + 4096, &low, 4); /* the far pointer: code, and the segment of 32-bit code */
	code[4100] = 0x23;
#define BYTES(...) do { static const unsigned char b[] = { __VA_ARGS__ }; memcpy(p, b, sizeof b); p += sizeof b; } while (0)
#define WORD(n) do { unsigned w = (n); memcpy(p, &w, 4); p += 4; } while (0)
	BYTES(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);	/* push %rbx, %rbp, %r12 to %r15 */
	BYTES(0x48, 0x89, 0x24, 0x25); WORD(data + 8);				/* mov %rsp,data+8 */
	BYTES(0xbc); WORD(top);							/* mov $top,%esp */
	BYTES(0xff, 0x1c, 0x25); WORD(data);					/* lcall *data */
	BYTES(0x48, 0x8b, 0x24, 0x25); WORD(data + 8);				/* mov data+8,%rsp */
	BYTES(0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3); /* pop them; ret */
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC) || fcntl(0, F_SETFL, O_NONBLOCK))
		fail("alternating");
	dprintf(1, "ready\n");
	for (char byte;;) {
		((void (*)(void))(code + 64))();
		ssize_t n = read(0, &byte, 1);
		if (n == 1)
			say_answer();
		else if (n == 0 || errno != EAGAIN)
			_exit(n != 0);
	}
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
		{ "alternating", alternating },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!strcmp(name, cases[i].name)) {
			cases[i].enter();
			serve();
		}
	return 2;
}
