/* A replacement in which a thread can be cancelled: it calls a cancellation point. */
#include <unistd.h>
int answer_lp(void) { char byte; return read(-1, &byte, 1) == -1 ? VALUE : 0; }
