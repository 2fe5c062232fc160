/* Functions whose IFUNC resolvers nobody has run, and that do all that one may
 * do, or must not. */
#include <unistd.h>
#include <sys/syscall.h>

static int two(void) { return 2; }
typedef int function(void);

/* A resolver with 100 KiB of locals, that makes a system call and leaves every
 * register that it may change changed. */
static function *clobber(void)
{
	volatile char much[100 << 10];
	for (unsigned i = 0; i < sizeof much; i += 64)
		much[i] = (char)i;
	syscall(SYS_getppid);
	if (__builtin_cpu_supports("avx2"))
		__asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n\tvmovdqa %%ymm0, %%ymm1\n\tvmovdqa %%ymm0, %%ymm7\n\t"
				 "vmovdqa %%ymm0, %%ymm15" : : : "xmm0", "xmm1", "xmm7", "xmm15");
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm2\n\tmovdqa %%xmm0, %%xmm9\n\t"
			 "fldpi\n\tfldpi\n\tfldpi\n\tfldpi\n\tfldpi\n\tfldpi\n\tfldpi\n\tfldpi\n\t"
			 "fstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\t"
			 "fstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\t"
			 "xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\txor %%edi, %%edi\n\t"
			 "xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\txor %%r11d, %%r11d\n\tstc"
			 : : : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm2", "xmm9", "cc", "memory");
	/* What the psABI promises at a function's entry. */
	unsigned mxcsr;
	unsigned long flags, frame = (unsigned long)__builtin_frame_address(0);
	__asm__ volatile("stmxcsr %0\n\tpushf\n\tpop %1" : "=m"(mxcsr), "=r"(flags));
	if ((mxcsr & 0xffc0) != 0x1f80 || flags & 0x400 || frame % 16)
		return 0;
	return two;
}

static function *hang(void)
{
	for (;;)
		syscall(SYS_getppid);
}

static function *sleeper(void)
{
	for (;;)
		syscall(SYS_pause);
}

static function *crash(void)
{
	*(volatile int *)8 = 1;
	return two;
}

static function *undefined(void)
{
	__builtin_trap();
}

static function *wild(void) { return (function *)0x12345678; }
static function *nothing(void) { return 0; }

int clobbers(void) __attribute__((ifunc("clobber")));
int hangs(void) __attribute__((ifunc("hang")));
int sleeps(void) __attribute__((ifunc("sleeper")));
int crashes(void) __attribute__((ifunc("crash")));
int traps(void) __attribute__((ifunc("undefined")));
int leads_nowhere(void) __attribute__((ifunc("wild")));
int returns_nothing(void) __attribute__((ifunc("nothing")));
