/* A process in which all memory within 4 GiB of answer() is taken, but for one
 * hole:
 *   crowded none|below|above SIZE
 * It says for every byte on standard input what answer() gives. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REACH (4UL << 30)
#define PAGE 4096UL
#define MAX 4096

int answer(void);

static struct { unsigned long start, end; } gaps[MAX];
static int count;

static void find_gaps(unsigned long low, unsigned long high)
{
	unsigned long start, end, last = low;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof line, maps) && count < MAX) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || end <= low)
			continue;
		if (start > last) {
			gaps[count].start = last;
			gaps[count++].end = start < high ? start : high;
		}
		if ((last = end) >= high)
			break;
	}
	if (maps)
		fclose(maps);
}

static void hole(unsigned long at, unsigned long size, int above)
{
	for (int n = 0; n < count; n++) {
		int i = above ? n : count - 1 - n;
		unsigned long room = gaps[i].end - gaps[i].start;
		if ((gaps[i].start > at) != above || room < size + 32 * PAGE)
			continue;
		/* What is reserved goes on to both sides of it. */
		if (munmap((void *)(above ? gaps[i].start + 16 * PAGE : gaps[i].end - 16 * PAGE - size), size))
			exit(4);
		return;
	}
	exit(5);
}

int main(int argc, char **argv)
{
	unsigned long at = (unsigned long)answer & -PAGE;
	char byte;
	if (argc < 3)
		return 2;
	find_gaps(at > REACH ? at - REACH : PAGE << 8, at + REACH < 1UL << 47 ? at + REACH : (1UL << 47) - PAGE);
	for (int i = 0; i < count; i++)
		if (mmap((void *)gaps[i].start, gaps[i].end - gaps[i].start, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			return 3;
	if (strcmp(argv[1], "none"))
		hole(at, strtoul(argv[2], NULL, 0), !strcmp(argv[1], "above"));
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1)
		dprintf(1, "%d %d\n", getpid(), answer());
	return 0;
}
