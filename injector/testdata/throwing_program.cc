// Says what answer() gives and whether every exception got where it had to.
#include <cstdio>
#include <stdexcept>
#include <unistd.h>

extern int destroyed;
extern "C" {
int answer(void);
int throws(int);
int calls_back(int (*)(int), int);
int cleans_up(int);
int begins_with_call(int);
}

static int caught;
static int unwound;

struct Note {
	~Note() { unwound++; }
};

template <typename F> static void expect(F f)
{
	try {
		f();
	} catch (const std::runtime_error &) {
		caught++;
	}
}

int main()
{
	char byte;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		destroyed = caught = unwound = 0;
		int got = 0;
		expect([&] { Note n; got = answer(); throws(1); });
		expect([] { Note n; calls_back(throws, 1); });
		expect([] { Note n; cleans_up(1); });
		expect([] { Note n; begins_with_call(1); });
		dprintf(1, "%d %d,%d,%d,%d\n", getpid(), got, caught, unwound, destroyed);
	}
}
