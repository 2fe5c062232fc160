/* A program that calls what it is told to. Each line on standard input is
 *   [thread] NAME [NUMBER]...
 * It calls the function of that name, in a new thread if asked to, and writes the number that this returns. A function
 * is looked up once, by "find NAME" or when it is first called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef long (*function)(long, long, long, long);

static function find(const char *name)
{
	static struct { char name[64]; function f; } known[64];
	int i;
	for (i = 0; i < 63 && known[i].f; i++)
		if (!strcmp(known[i].name, name))
			return known[i].f;
	known[i].f = (function)dlsym(RTLD_DEFAULT, name);
	if (!known[i].f) {
		fprintf(stderr, "%s\n", dlerror());
		exit(3);
	}
	strncpy(known[i].name, name, sizeof known[i].name - 1);
	return known[i].f;
}

static long call(char *line)
{
	char *rest, *name = strtok_r(line, " \n", &rest);
	long argument[4] = {0};
	function f;
	if (!strcmp(name, "find")) {
		find(strtok_r(NULL, " \n", &rest));
		return 0;
	}
	f = find(name);
	for (int i = 0; i < 4 && (name = strtok_r(NULL, " \n", &rest)); i++)
		argument[i] = strtol(name, NULL, 0);
	return f(argument[0], argument[1], argument[2], argument[3]);
}

static void *in_thread(void *line) { return (void *)call(line); }

int main(void)
{
	char line[256];
	const char thread[] = "thread ";
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof line, stdin)) {
		void *answer;
		pthread_t id;
		if (strncmp(line, thread, strlen(thread))) {
			answer = (void *)call(line);
		} else if (pthread_create(&id, NULL, in_thread, line + strlen(thread)) || pthread_join(id, &answer)) {
			return 4;
		}
		printf("%ld\n", (long)answer);
	}
	return 0;
}
