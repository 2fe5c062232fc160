/* Functions answer() of unusual shapes, one for each SHAPE_*. All of them give
 * 1, or what answer_base holds, which is 1. */

#define BEGIN(name) .globl name; .type name, @function; name: .cfi_startproc
#define END(name) .cfi_endproc; .size name, . - name

	.data
	.globl answer_base
	.type answer_base, @object
	.size answer_base, 4
answer_base:
	.long 1
	.section .rodata
.Lone_single:
	.float 1.0
	.text

/* Ten bytes of code that can be moved. */
#define PLAIN movq answer_base@GOTPCREL(%rip), %rax; movl (%rax), %eax; ret

#if defined(SHAPE_straddle_nops)
	.p2align 12
	.skip 4092 - 16 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.nops 16
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_pushes)
	/* A thread may stand behind the first push. */
	.p2align 12
	.skip 4093 - 16 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.nops 16
	BEGIN(answer); push %rbx; push %rcx; mov %rsp, %rbx; mov $1, %eax; pop %rcx; pop %rbx; ret; END(answer)
#elif defined(SHAPE_straddle_int3)
	.p2align 12
	.skip 4094 - 8 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.fill 8, 1, 0xcc
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_endbr)
	.p2align 12
	.skip 4088 - 8 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.fill 8, 1, 0
	BEGIN(answer); endbr64; PLAIN; END(answer)
	.skip 16, 0xcc
#elif defined(SHAPE_straddle_endbr_far)
	.p2align 12
	.skip 4089 - 8 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.fill 8, 1, 0x90
	BEGIN(answer); endbr64; PLAIN; END(answer)
#elif defined(SHAPE_straddle_no_filler)
	.p2align 12
	.skip 4092 - 5 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.nops 5
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_fallen_into)
	.p2align 12
	.skip 4092 - 16 - 1, 0xcc
	BEGIN(neighbour); nop; END(neighbour)
	.nops 16
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_code_before)
	/* The code before has no frame information. */
	.p2align 12
	.skip 4092 - 16, 0xcc
	.fill 6, 1, 0x90
	ret
	.fill 9, 1, 0x90
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_named)
	.p2align 12
	.skip 4092 - 16 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.globl sled
	.type sled, @function
sled:	.fill 16, 1, 0x90
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_two)
	.p2align 12
	.skip 4095 - 16 - 2, 0xcc
	BEGIN(neighbour); nop; ret; END(neighbour)
	.nops 16
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_straddle_padded)
	.p2align 12
	.skip 4095 - 14, 0xcc
	.fill 14, 1, 0x90
	BEGIN(answer); nop; nop; PLAIN; END(answer)
#elif defined(SHAPE_last)
	/* The end of the function is the end of the mapping. */
	.p2align 12
	.skip 4096 - 10, 0xcc
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_first)
	/* It begins its mapping: the linker is told so. */
	.section .first, "ax", @progbits
	.p2align 12
	BEGIN(answer); PLAIN; END(answer)
#elif defined(SHAPE_first_padded)
	.section .first, "ax", @progbits
	.p2align 12
	BEGIN(answer); nop; nop; PLAIN; END(answer)
#elif defined(SHAPE_branch_into)
	BEGIN(answer); xor %eax, %eax
1:	inc %eax; test %eax, %eax; jle 1b; ret; END(answer)
#elif defined(SHAPE_neighbour_branches_into)
	BEGIN(answer); xor %eax, %eax
.Linside:
	inc %eax; mov %eax, %ecx; ret; END(answer)
	BEGIN(neighbour); mov $-1, %eax; jmp .Linside; END(neighbour)
#elif defined(SHAPE_short)
	BEGIN(answer); push $1; pop %rax; ret; END(answer)
	ret
#elif defined(SHAPE_exactly_five)
	BEGIN(answer); xor %eax, %eax; inc %eax; ret; END(answer)
#elif defined(SHAPE_cold)
	/* The unlikely part is elsewhere and comes back behind the first bytes. */
	BEGIN(answer); movq answer_base@GOTPCREL(%rip), %rax; cmpl $0, (%rax); je answer.cold
.Lback:	movl (%rax), %eax; ret; END(answer)
	.section .text.unlikely, "ax", @progbits
	.type answer.cold, @function
answer.cold: .cfi_startproc; movl $1, (%rax); jmp .Lback; END(answer.cold)
#elif defined(SHAPE_cold_into)
	BEGIN(answer); xor %eax, %eax
.Lback:	inc %eax; nop; nop; test %eax, %eax; js answer.cold; ret; END(answer)
	.section .text.unlikely, "ax", @progbits
	.skip 4096, 0xcc
	.type answer.cold, @function
answer.cold: .cfi_startproc; xor %eax, %eax; jmp .Lback; END(answer.cold)
#elif defined(SHAPE_cold_to_start)
	/* A loop that begins with the function. */
.Lstart:
	BEGIN(answer); mov $1, %eax; test %eax, %eax; je answer.cold; ret; END(answer)
	.section .text.unlikely, "ax", @progbits
	.skip 4096, 0xcc
	.type answer.cold, @function
answer.cold: .cfi_startproc; nop; jmp .Lstart; END(answer.cold)
#elif defined(SHAPE_avx)
	BEGIN(answer); vmovss .Lone_single(%rip), %xmm0; vcvttss2si %xmm0, %eax; ret; END(answer)
#elif defined(SHAPE_avx_between)
	BEGIN(answer); vzeroupper; vaddss .Lone_single(%rip), %xmm0, %xmm1; mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_call_next)
	BEGIN(answer); call 1f
1:	pop %rax; mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_calls_first)
	BEGIN(answer); call one; ret; END(answer)
	.type one, @function
one:	.cfi_startproc; mov $1, %eax; ret; END(one)
#elif defined(SHAPE_calls_second)
	BEGIN(answer); sub $8, %rsp; call one; add $8, %rsp; ret; END(answer)
	.type one, @function
one:	.cfi_startproc; mov $1, %eax; ret; END(one)
#elif defined(SHAPE_calls_pointer)
	BEGIN(answer); stc; jc 1f; call *%rax
1:	mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_calls_slot)
	BEGIN(answer); sub $8, %rsp; call *one@GOTPCREL(%rip); add $8, %rsp; ret; END(answer)
	BEGIN(one); mov $1, %eax; ret; END(one)
#elif defined(SHAPE_calls_relaxed)
	/* The linker makes it addr32 call. */
	BEGIN(answer); sub $8, %rsp; call *one@GOTPCREL(%rip); add $8, %rsp; ret; END(answer)
	.hidden one
	BEGIN(one); mov $1, %eax; ret; END(one)
#elif defined(SHAPE_jrcxz)
	BEGIN(answer); jrcxz 1f
1:	mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_loop)
	BEGIN(answer); nop
1:	loop 2f
2:	mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_jump)
	BEGIN(answer); .byte 0xe9; .long one - . - 4; END(answer)
	.p2align 4
	.type one, @function
one:	.cfi_startproc; mov $1, %eax; ret; END(one)
#elif defined(SHAPE_jump_through)
	BEGIN(answer); jmp *1f(%rip); END(answer)
	.type one, @function
one:	.cfi_startproc; mov $1, %eax; ret; END(one)
	.data
1:	.quad one
#elif defined(SHAPE_jump_short)
	BEGIN(answer); jmp 1f
	.skip 8, 0x90
1:	mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_returns)
	BEGIN(answer); push $1; pop %rax; ret; nop; nop; END(answer)
#elif defined(SHAPE_lock)
	BEGIN(answer); mov answer_base@GOTPCREL(%rip), %rdx
	xor %eax, %eax; lock xadd %eax, (%rdx); ret; END(answer)
	.skip 16
#elif defined(SHAPE_lock_first)
	BEGIN(answer); lock addl $0, 1f(%rip); mov $1, %eax; ret; END(answer)
	.data
1:	.long 0
#elif defined(SHAPE_rep_first)
	BEGIN(answer); xor %ecx, %ecx; rep movsb; mov $1, %eax; ret; END(answer)
#elif defined(SHAPE_hotpatch)
	/* As of compilers for another system: a NOP of two bytes, five before. */
	.fill 5, 1, 0xcc
	BEGIN(answer); mov %edi, %edi; push %rbp; mov %rsp, %rbp; mov $1, %eax; pop %rbp; ret; END(answer)
#elif defined(SHAPE_endbr_short)
	BEGIN(answer); endbr64; push $1; pop %rax; ret; END(answer)
#else
#error no such shape
#endif
	.section .note.GNU-stack, "", @progbits
