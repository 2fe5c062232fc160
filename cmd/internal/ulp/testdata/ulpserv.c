/* Says what its two libraries answer, for every line that it reads. With an
 * argument it waits for the first within one of them. */
#include <stdio.h>

int hundreds(void);
int dozens(void);
int sits(void);

int main(int argc, char **argv)
{
	char line[64];
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	if (argc > 1)
		sits();
	while (fgets(line, sizeof line, stdin))
		printf("%d %d\n", hundreds(), dozens());
	return 0;
}
