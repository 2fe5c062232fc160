/* Functions that are not left for long: they answer every byte that they read
 * with a digit, until the byte is q. */
#include <unistd.h>

__attribute__((noinline)) int echo(int in, int out)
{
	char byte, digit = '1';
	while (read(in, &byte, 1) == 1 && byte != 'q')
		if (write(out, &digit, 1) != 1)
			return -1;
	return 1;
}
