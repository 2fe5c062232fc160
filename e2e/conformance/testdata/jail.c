/* Linked with asked.c: sees nothing of the files of the host any more. */
#define _GNU_SOURCE
#include <unistd.h>
long enter_jail(void) { return chroot("/proc") || chdir("/") || access("/self/maps", R_OK); }
