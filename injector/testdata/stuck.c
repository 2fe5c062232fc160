/* A thread that waits for something that is not a signal, beside one that serves:
 *   stuck spawn FIFO   for a child of posix_spawn, which waits in the same memory
 *   stuck fault        for a page that userfaultfd shall fill, in user code
 *   stuck copy         for one that a system call shall fill
 *   stuck fuse DIR     for a file system whose server does not answer
 * The byte 'r' ends the wait; the answer is what the thread got, and 0. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;
static const char *mode, *path;
static char *page;
static int faults = -1, go[2], zero;
static volatile int got;

static void *waits(void *arg)
{
	char *argv[] = { "true", NULL };
	struct stat st;
	if (!strcmp(mode, "spawn")) {
		pid_t child;
		int status;
		posix_spawn_file_actions_t actions;
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
		if (posix_spawn(&child, "/bin/true", &actions, NULL, argv, environ) || waitpid(child, &status, 0) != child)
			fail("posix_spawn");
		got = status == 0 ? 1 : -1;
	} else if (!strcmp(mode, "fault"))
		got = page[0] == 0 ? 1 : -1;
	else if (!strcmp(mode, "copy"))
		got = read(zero, page, 1);
	else
		got = stat(path, &st) && errno == ENOENT ? 1 : -1;
	return arg;
}

static void make_page(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = { { (unsigned long)page, 4096 }, UFFDIO_REGISTER_MODE_MISSING, 0 };
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range))
		fail("userfaultfd");
	zero = open("/dev/zero", O_RDONLY);
}

/* A child is the server: it takes the mount, and one request, to which it
 * answers ENOENT when it may. */
static void serve_fuse(int fuse)
{
	static char in[1 << 17];
	struct fuse_in_header *request = (void *)in;
	struct { struct fuse_out_header header; struct fuse_init_out init; } hello = {
		{ sizeof hello, 0, 0 }, { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 }
	};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(0), close(1), close(go[1]);
	for (;;) {
		ssize_t n = read(fuse, in, sizeof in);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(0);
		if (request->opcode == FUSE_INIT) {
			hello.header.unique = request->unique;
			if (write(fuse, &hello, sizeof hello) < 0)
				_exit(1);
		} else if (request->opcode != FUSE_INTERRUPT && request->opcode != FUSE_FORGET) {
			char byte;
			struct fuse_out_header no = { sizeof no, -ENOENT, request->unique };
			if (read(go[0], &byte, 1) < 0 || write(fuse, &no, sizeof no) < 0)
				_exit(2);
		}
	}
}

static void mount_fuse(void)
{
	static char name[512], options[128];
	int fuse = open("/dev/fuse", O_RDWR);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	/* In a namespace of its own: the mount goes with the process. */
	if (fuse < 0 || pipe(go) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("stuck", path, "fuse", MS_NOSUID | MS_NODEV, options))
		fail("fuse");
	if (fork() == 0)
		serve_fuse(fuse);
	close(fuse), close(go[0]);
	snprintf(name, sizeof name, "%s/file", path);
	path = name;
}

static void end_wait(void)
{
	if (!strcmp(mode, "spawn"))
		close(open(path, O_WRONLY));
	else if (faults >= 0) {
		struct uffdio_zeropage fill = { .range = { (unsigned long)page, 4096 } };
		if (ioctl(faults, UFFDIO_ZEROPAGE, &fill))
			fail("zeropage");
	} else if (write(go[1], "x", 1) != 1)
		fail("pipe");
	while (!got)
		rest(100);
	dprintf(1, "%d 0\n", got);
}

int main(int argc, char **argv)
{
	char byte;
	pthread_t t;
	mode = argc > 1 ? argv[1] : "", path = argc > 2 ? argv[2] : "";
	if (!strcmp(mode, "fuse"))
		mount_fuse();
	else if (strcmp(mode, "spawn"))
		make_page();
	if (pthread_create(&t, NULL, waits, NULL))
		fail("pthread_create");
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		if (byte == 'r')
			end_wait();
		else
			say_answer();
	_exit(0);
}
