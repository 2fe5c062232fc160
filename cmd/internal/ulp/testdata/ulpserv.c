/* Says what its two libraries answer, for every line that it reads. */
#include <stdio.h>

int hundreds(void);
int dozens(void);

int main(void)
{
	char line[64];
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof line, stdin))
		printf("%d %d\n", hundreds(), dozens());
	return 0;
}
