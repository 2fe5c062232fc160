// A library in which exceptions are thrown, caught and passed on.
#include <stdexcept>

int destroyed;
namespace {
struct Guard {
	~Guard() { destroyed++; }
};
}
extern "C" {
volatile int answer_base = 1;
__attribute__((noinline)) int answer(void) { return answer_base; }

__attribute__((noinline)) int throws(int n)
{
	if (n)
		throw std::runtime_error("thrown");
	return 1;
}
// What a caller hands in may throw.
__attribute__((noinline)) int calls_back(int (*f)(int), int n) { return f(n) + 1; }
// It has to destroy something on the way.
__attribute__((noinline)) int cleans_up(int n)
{
	Guard guard;
	return throws(n) + answer();
}
// It begins with a call, which a detour has to move.
int begins_with_call(int);
}
__asm__(".globl begins_with_call\n.type begins_with_call, @function\n"
	"begins_with_call: .cfi_startproc\nsub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
	"call throws@PLT\nadd $8, %rsp\n.cfi_adjust_cfa_offset -8\nret\n"
	".cfi_endproc\n.size begins_with_call, . - begins_with_call\n");
