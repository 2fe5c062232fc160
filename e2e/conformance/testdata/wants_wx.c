/* A live patch whose constructor asks for memory that is writable and executable, which a filter may deny. */
#include <errno.h>
#include <sys/mman.h>
static long denied;
__attribute__((constructor)) static void construct(void)
{
	void *p = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	denied = p == MAP_FAILED ? errno : 0;
}
long patched(long n) { return denied ? denied : -1; }
