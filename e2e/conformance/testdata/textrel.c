/* A live patch with a relocation in its code. */
extern long nothing_of_this_name __attribute__((weak));
__asm__(".text\n.quad nothing_of_this_name\n");
long patched(long n) { return -n; }
