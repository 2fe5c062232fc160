/* Four threads that allocate, write, check and free without pause. The byte 's'
 * asks for how often, and who made the newest block. */
#include "case.h"
#include <pthread.h>

void *take(size_t n);

static volatile long count;

static void *allocates(void *arg)
{
	enum { blocks = 64 };
	unsigned char *block[blocks] = { 0 };
	unsigned long x = (unsigned long)arg;
	for (;; __sync_fetch_and_add(&count, 1)) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		size_t i = x >> 58, n = 1 + (x >> 40) % 2000;
		if (block[i]) {
			size_t *head = (size_t *)block[i] - 2;
			if (head[1] < 1 || head[1] > 2 || block[i][0] != (unsigned char)head[0] ||
			    block[i][head[0] - 1] != (unsigned char)head[0])
				fail("block");
			free(head);
		}
		block[i] = take(n);
		memset(block[i], n, n);
	}
	return arg;
}

int main(void)
{
	pthread_t t;
	char byte;
	for (long i = 1; i <= 4; i++)
		if (pthread_create(&t, NULL, allocates, (void *)i))
			fail("pthread_create");
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		size_t *head = (size_t *)take(100) - 2;
		dprintf(1, "%ld %zu\n", count, head[1]);
		free(head);
	}
	_exit(0);
}
