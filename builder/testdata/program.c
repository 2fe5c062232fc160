#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static __thread int mine = 7;
static int constructed, sum;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
__attribute__((constructor)) static void begin(void) { constructed++; }
__attribute__((destructor)) static void end(void) { if (write(1, "destructor\n", 11) != 11) _exit(9); }
static void leaving(void) { if (write(1, "atexit\n", 7) != 7) _exit(9); }
static void forking(void) { sum++; }
static void *run(void *arg) { mine += *(int *)arg; errno = mine; pthread_mutex_lock(&lock); sum += errno; pthread_mutex_unlock(&lock); return 0; }
int main(int argc, char **argv)
{
	pthread_t t[4];
	int i, status = 0, add = 3, number = 0;
	struct stat st;
	atexit(leaving);
	pthread_atfork(forking, 0, 0);
	for (i = 0; i < 4; i++) if (pthread_create(&t[i], 0, run, &add)) return 1;
	for (i = 0; i < 4; i++) pthread_join(t[i], 0);
	if (fork() == 0) _exit(5);
	wait(&status);
	if (argc != 2 || sscanf(argv[1], "%d", &number) != 1 || stat("/", &st) || !S_ISDIR(st.st_mode)) return 2;
	if (!dlopen("libm.so.6", RTLD_NOW) || sqrt(argc + 2) != 2) return 3;
	printf("constructed %d sum %d mine %d child %d number %d\n", constructed, sum, mine, WEXITSTATUS(status), number);
	fflush(stdout);
	return 0;
}
