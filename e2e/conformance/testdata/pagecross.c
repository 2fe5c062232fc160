/* A function that begins AT bytes behind the start of a page, with PADDING NOPs before it and, as between any two
 * functions, some filler before those. */
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define BEGIN(name) ".globl " name "\n.type " name ", @function\n" name ":\n.cfi_startproc\n"
#define END(name) ".cfi_endproc\n.size " name ", . - " name "\n"
#ifdef LIBRARY
__asm__(".text\n.p2align 12\n.skip 4096 + " TEXT(AT) " - " TEXT(PADDING) " - 25, 0xcc\n"
	BEGIN("before") "ret\n" END("before") ".skip 24, 0xcc\n"
	".skip " TEXT(PADDING) ", 0x90\n"
	BEGIN("crossing") ".if " TEXT(PADDING) "\n.byte 0x90, 0x90\n.endif\n"
	"lea 1(%rdi), %rax\nlea 1(%rax), %rax\nlea 1(%rax), %rax\nlea 1(%rax), %rax\nret\n" END("crossing"));
#else
long crossing_lp(long n) { return -n; }
#endif
