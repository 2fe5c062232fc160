/* A request of io_uring that a worker thread of the kernel waits for:
 *   uring FIFO
 * is to open a named pipe. The byte 's' asks how many requests have ended, and
 * with what; 'r' opens the other end, so that it ends. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

static struct io_uring_params params;
static char *submissions, *completions;

static unsigned *at(char *ring, unsigned offset) { return (unsigned *)(ring + offset); }

static int submit(const char *fifo)
{
	int ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		return 0;
	submissions = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	completions = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (submissions == MAP_FAILED || completions == MAP_FAILED || sqe == MAP_FAILED)
		fail("mmap");
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_OPENAT, .flags = IOSQE_ASYNC, .fd = AT_FDCWD, .addr = (unsigned long)fifo, .open_flags = O_RDONLY
	};
	at(submissions, params.sq_off.array)[0] = 0;
	__atomic_store_n(at(submissions, params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		fail("io_uring_enter");
	return 1;
}

static unsigned ended(void) { return __atomic_load_n(at(completions, params.cq_off.tail), __ATOMIC_ACQUIRE); }

int main(int argc, char **argv)
{
	char byte;
	if (argc < 2 || !submit(argv[1])) {
		dprintf(1, "none\n");
		return 0;
	}
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		if (byte == 'x') {
			say_answer();
			continue;
		}
		if (byte == 'r') {
			open(argv[1], O_WRONLY);
			while (!ended())
				rest(100);
		}
		struct io_uring_cqe *cqe = (void *)at(completions, params.cq_off.cqes);
		dprintf(1, "%u %d\n", ended(), ended() ? cqe->res : 0);
	}
	_exit(0);
}
