/* Linked into a test program that defines lpbuild_hammer: threads that call it
   whenever lpbuild says so. They share a page with lpbuild, which is the file
   whose descriptor stands in the environment. Started by anybody else, the
   program has no such threads.

   Only functions that every build of glibc has are used here. */

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *lpbuild_hammer(void);

enum { THREADS = 2, TEXT = 512, REST_US = 500 };

/* The same as hammerPage in pipeline/hammer.go. */
struct thread {
	uint64_t calls;   /* that have returned */
	uint32_t resting; /* 1: sees that it is to rest, and is in no call */
	char own_cache_line[52];
};
struct page {
	uint32_t command; /* 1: call, 0: rest; written by lpbuild */
	uint32_t threads; /* how many there are; written last of all at the start */
	uint32_t wrong;   /* 1: a call is writing to text, 2: it has */
	char text[TEXT];
	char own_cache_line[52];
	struct thread thread[THREADS];
};

static struct page *page;

static void complain(const char *what)
{
	uint32_t no = 0;
	size_t length = strlen(what);

	if (!__atomic_compare_exchange_n(&page->wrong, &no, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	memcpy(page->text, what, length < TEXT ? length : TEXT - 1);
	__atomic_store_n(&page->wrong, 2, __ATOMIC_RELEASE);
}

static void *work(void *arg)
{
	struct thread *self = arg;

	for (;;) {
		while (__atomic_load_n(&page->command, __ATOMIC_ACQUIRE) == 0) {
			__atomic_store_n(&self->resting, 1, __ATOMIC_RELEASE);
			usleep(REST_US);
		}
		__atomic_store_n(&self->resting, 0, __ATOMIC_RELEASE);
		const char *wrong = lpbuild_hammer();
		if (wrong != NULL)
			complain(wrong);
		__atomic_fetch_add(&self->calls, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

__attribute__((constructor)) static void start(void)
{
	const char *number = getenv("LPBUILD_HAMMER");
	sigset_t all, before;
	pthread_t thread;
	uint32_t started = 0;

	if (number == NULL)
		return;
	int fd = atoi(number);
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return;
	/* Signals are the program's business. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	while (started < THREADS && pthread_create(&thread, NULL, work, &page->thread[started]) == 0)
		started++;
	sigprocmask(SIG_SETMASK, &before, NULL);
	__atomic_store_n(&page->threads, started, __ATOMIC_RELEASE);
}
