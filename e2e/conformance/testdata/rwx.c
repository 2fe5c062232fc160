/* Linked with asked.c: makes the code of a function writable, and changes it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/mman.h>
#define PAGE 4096
static unsigned char *code(void) { return dlsym(RTLD_DEFAULT, "dozens"); }
long unprotect(void)
{
	unsigned long page = (unsigned long)code() & -PAGE;
	return mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}
/* Writes to the page of the function, behind its end. */
long scribble(long n)
{
	unsigned char *p = code();
	p = (unsigned char *)((unsigned long)p & -PAGE) + PAGE - 1;
	*(volatile unsigned char *)p = n;
	return *p;
}
