package elfinfo

import (
	"strings"
	"testing"
)

// codeSource is a function that refers to all that code can refer to. Between
// @ and @ is what the test changes.
const codeSource = `
#include <stdio.h>
#include <stdlib.h>
__thread int per_thread, other_thread;
int state, spare;
static int hidden, veiled;
static const int weights[] = {1, 2, @3@, 4};
static const char *const names[] = {"one", "two", "@three@"};
static __attribute__((noinline)) int helper(int x) { hidden += x; return x * 3; }
static __attribute__((noinline)) int assist(int x) { veiled += x; return x * 3; }
__attribute__((cold,noinline)) void fail(const char *s) { puts(s); abort(); }
double scale(double x) { return x * @1.5@; }
int f(int x, double *d) {
	static int calls, tries;
	if (x < 0) { puts("@negative@"); per_thread++; fail("bad"); }
	@calls@++;
	*d = scale(*d) * @2.25@;
	switch (x) {
	case 0: state += @helper@(7);
	case 1: return weights[x] + 1;
	case 2: puts(names[state & 1]); return 5;
	case 3: other_thread = 7; break;
	case 4: return 11 * tries;
	case 5: puts("five"); @return 3@;
	case 6: free(d); return 8;
	case 7: return per_thread;
	}
	hidden++;
	return f(x - 1, d) + @spare@ * veiled;
}
int g(int x) { return assist(x) + helper(x); }
`

func codeOf(t *testing.T, source string, flags ...string) string {
	t.Helper()
	f := function(t, build(t, library{source: source, flags: flags}, "f"), "f")
	if f.Code == "" {
		t.Fatal("no code")
	}
	return f.Code
}

// changed is codeSource as it is, with others in place of what is between @ and @.
func changed(edit map[string]string) string {
	parts := strings.Split(codeSource, "@")
	for i := 1; i < len(parts); i += 2 {
		if to, ok := edit[parts[i]]; ok {
			parts[i] = to
		}
	}
	return strings.Join(parts, "")
}

// The same source at other addresses, with other neighbours and other data
// around it, is the same code.
func TestCodeIsEqualWhereverItLies(t *testing.T) {
	const before = "int early[100] = {1}; static int unseen[33]; int *keep = unseen; int first(int x) { unseen[x] = early[x]; return __builtin_printf(\"first %d\", x); }\n"
	const after = "\nstatic char tail[999]; char *last(void) { return tail; } const char *text(void) { return \"tail of text\"; }"
	want := codeOf(t, changed(nil))
	for name, source := range map[string]string{
		"again":  changed(nil),
		"moved":  before + changed(nil) + after,
		"before": before + changed(nil),
	} {
		if got := codeOf(t, source); got != want {
			t.Errorf("%s: other code", name)
		}
	}
	if got := codeOf(t, changed(nil), "-Wl,-z,noseparate-code", "-Wl,--hash-style=sysv"); got != want {
		t.Error("linked otherwise: other code")
	}
	if got := codeOf(t, changed(nil), "-falign-functions=128"); got != want {
		t.Error("aligned otherwise: other code")
	}
}

// A change of the source, however small, is another code.
func TestCodeTellsChanges(t *testing.T) {
	want := codeOf(t, changed(nil))
	for from, to := range map[string]string{
		"3":        "5", // in a table
		"three":    "thre",
		"negative": "negativ",
		"calls":    "tries",
		"2.25":     "2.5",
		"helper":   "assist",
		"return 3": "return 4",
		"spare":    "state",
	} {
		source := changed(map[string]string{from: to})
		if source == changed(nil) {
			t.Fatalf("%q is not in the source", from)
		}
		if got := codeOf(t, source); got == want {
			t.Errorf("%s for %s: equal code", to, from)
		}
	}
}

// Where a stripped library does not tell what is called, nothing is equal to it.
func TestCodeOfStrippedLibrary(t *testing.T) {
	path := compile(t, library{source: changed(nil)})
	run(t, "strip", path)
	b, err := NewBuild(open(t, path), nil, []string{"f", "scale"})
	if err != nil {
		t.Fatal(err)
	}
	if f := function(t, b, "f"); f.Code != "" {
		t.Error("f has code although nobody knows what it calls")
	}
	if f := function(t, b, "scale"); f.Code == "" {
		t.Error("scale has none although it calls nothing")
	}
}
