// A live patch with an object of which there is one in the process (STB_GNU_UNIQUE).
extern "C" {
#include "say.h"
void greet_lp();
}
template <typename T> struct counter {
	static int &value()
	{
		static int n;
		return n;
	}
};
void greet_lp()
{
	say_line(++counter<int>::value() > 0 ? "PATCHED\n" : "WRONG\n");
}
