/* The entry point of a program, System V ABI for x86-64 3.4.1: rdx is what the
   dynamic loader wants called at exit, the stack holds argc, argv, envp. It
   stands in for crt1.o, which belongs to the libc of the machine that builds. */
	.text
	.globl	_start
	.type	_start, @function
_start:
	.cfi_startproc
	.cfi_undefined rip
	endbr64
	xorl	%ebp, %ebp
	movq	%rdx, %r9
	popq	%rsi
	movq	%rsp, %rdx
	andq	$-16, %rsp
	pushq	%rax
	pushq	%rsp
	leaq	lpbuild_fini(%rip), %r8
	leaq	lpbuild_init(%rip), %rcx
	leaq	main(%rip), %rdi
	call	*__libc_start_main@GOTPCREL(%rip)
	hlt
	.cfi_endproc
	.size	_start, .-_start
	.section .note.GNU-stack,"",@progbits
