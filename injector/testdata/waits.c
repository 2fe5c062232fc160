/* One thread that waits with a timeout before it reads:
 *   waits HOW
 * in poll, or in the 32-bit system call for it. For every byte on standard
 * input it writes what answer() answers; a wait that fails ends it. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int answer(void);

static int poll32(struct pollfd *fd, int timeout)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(168), "b"(fd), "c"(1), "d"(timeout) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

int main(int argc, char **argv)
{
	const int timeout = 60 * 1000;
	struct pollfd *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int old = argc > 1 && !strcmp(argv[1], "32");
	char byte;
	for (dprintf(1, "ready\n");;) {
		*low = (struct pollfd){ .fd = 0, .events = POLLIN };
		int n = old ? poll32(low, timeout) : poll(low, 1, timeout);
		if (n < 0 && !old && errno == EINTR)
			continue;
		if (n != 1) {
			dprintf(1, "poll: %d, %d\n", n, errno);
			return 9;
		}
		if (read(0, &byte, 1) != 1)
			return 0;
		dprintf(1, "%d %d\n", getpid(), 1010 * answer() - (answer() == 1 ? 9 : 0));
	}
}
