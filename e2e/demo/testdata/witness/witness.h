/* A process that takes down what a function answers.
 *
 *	PROGRAM LOG THREADS
 *
 * Each thread asks again and again and appends every answer, one line each, to
 * a file of its own, LOG.NUMBER, until standard input is closed. Whoever
 * includes this file defines answer. Nothing here asks for memory once it has
 * begun, and each line is one write. */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void answer(char *text, size_t size);

static const char *log_name;
static int stop;

static void *watch(void *number)
{
	static const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	char name[4096], line[128];
	int fd;

	snprintf(name, sizeof name, "%s.%ld", log_name, (long)number);
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		abort();
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		size_t n;
		answer(line, sizeof line - 1);
		n = strlen(line);
		line[n++] = '\n';
		if (write(fd, line, n) != (ssize_t)n)
			abort();
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static pthread_t threads[64];
	long n = argc == 3 ? atol(argv[2]) : 0;
	char byte;

	if (n < 1 || n > 64)
		return 2;
	log_name = argv[1];
	for (long i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, watch, (void *)i) != 0)
			return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
