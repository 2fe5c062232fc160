/* A process that makes it hard to look at it:
 *   hostile HOW FOLDER
 * "ready" is written when it has begun; for every byte on standard input a line
 * "answer N"; the end of the input ends it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int answer(void);

static const char *folder;
static const long page = 4096;

/* Tens of thousands of mappings, of which each may hold a ledger. */
static void many(void)
{
	for (int i = 0; i < 60000; i++) {
		char *m = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m == MAP_FAILED)
			break;
		memcpy(m, "LPLEDGEX", 8);
		mprotect(m, page, i & 1 ? PROT_READ | PROT_EXEC : PROT_READ);
	}
}

/* New files without end, each with the head of an ELF file that says too much. */
static void *files(void *arg)
{
	unsigned char head[4096] = "\177ELF\2\1\1";
	char name[256];
	head[16] = 3, head[18] = 62, head[20] = 1;
	head[32] = 64, head[54] = 56;
	head[56] = head[57] = 0xff; /* e_phnum */
	for (unsigned i = 0;; i++) {
		for (int k = 64; k < 4096; k++)
			head[k] = rand();
		snprintf(name, sizeof name, "%s/file%u", folder, i % 64);
		unlink(name);
		int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0755);
		if (fd < 0 || write(fd, head, sizeof head) != sizeof head || ftruncate(fd, 1L << 40))
			_exit(4);
		void *m = mmap(NULL, 1L << 30, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		close(fd);
		if (i > 200)
			munmap(m, 1L << 30);
	}
	return arg;
}

/* Whatever appears in its address space that it has not made goes at once. */
static void *races(void *arg)
{
	for (;;) {
		FILE *f = fopen("/proc/self/maps", "re");
		char line[512], perms[8];
		unsigned long from, to, inode;
		while (f && fgets(line, sizeof line, f))
			if (sscanf(line, "%lx-%lx %7s %*x %*s %lu", &from, &to, perms, &inode) == 4 &&
			    inode == 0 && perms[2] == 'x' && !strchr(line, '['))
				munmap((void *)from, to - from);
		if (f)
			fclose(f);
	}
	return arg;
}

/* A ledger that leads to everything: to memory that is a file's, to its stack,
 * to the kernel's half, and without end. */
static void ledger(void)
{
	char name[256];
	snprintf(name, sizeof name, "%s/shared", folder);
	int fd = open(name, O_RDWR | O_CREAT, 0644);
	if (fd < 0 || ftruncate(fd, page))
		_exit(4);
	uint64_t *shared = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	for (int i = 0; i < 64; i++) {
		uint64_t *m = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(m, "LPLEDGER\1\0\0\0\0\20\0", 16);
		for (int k = 2; k < 512; k++)
			m[k] = k % 3 ? (uint64_t)shared : 0xffffffff81000000ul + rand();
		mprotect(m, page, i & 1 ? PROT_READ | PROT_EXEC : PROT_READ);
	}
}

int main(int argc, char **argv)
{
	pthread_t t;
	char byte;
	if (argc != 3)
		return 2;
	folder = argv[2];
	if (!strcmp(argv[1], "many"))
		many();
	else if (!strcmp(argv[1], "ledger"))
		ledger();
	else if (pthread_create(&t, NULL, !strcmp(argv[1], "files") ? files : races, NULL))
		return 3;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		dprintf(1, "answer %d\n", answer());
	return 0;
}
