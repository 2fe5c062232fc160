/* A function that begins AT bytes behind the start of a page, with PADDING NOPs before it. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#ifdef LIBRARY
__asm__(".text\n.p2align 12\n.skip 4096 + " TEXT(AT) " - " TEXT(PADDING) ", 0xcc\n"
	".skip " TEXT(PADDING) ", 0x90\n"
	".globl crossing\n.type crossing, @function\ncrossing:\n.cfi_startproc\n"
	".if " TEXT(PADDING) "\n.byte 0x90, 0x90\n.endif\n"
	"lea 1(%rdi), %rax\nlea 1(%rax), %rax\nlea 1(%rax), %rax\nlea 1(%rax), %rax\nret\n"
	".cfi_endproc\n.size crossing, . - crossing\n");
#else
long crossing_lp(long n) { return -n; }
#endif
