/* Linked with numbers.c: notes before and behind the build-id, in several PT_NOTE. */
#define NOTE(name, align) __asm__(".pushsection " name ", \"a\", @note\n.p2align " align "\n" \
	".long 4, 8, 77\n.asciz \"Odd\"\n.quad 1\n.popsection\n")
NOTE(".note.aaa", "2");
NOTE(".note.other", "3");
NOTE(".note.zzz", "2");
