/* A library whose constructor waits. */
#include <unistd.h>
extern volatile int loading, go_on;
__attribute__((constructor)) static void waits(void)
{
	loading = 1;
	while (!go_on)
		usleep(1000);
}
