package elfinfo

import "testing"

// The size of a function that a stripped library has no symbol of is known from its frame information.
func TestFrameSizeOfPrivateFunction(t *testing.T) {
	l := library{source: `
volatile long v;
__attribute__((noipa)) static long hidden(long n) { return n * v + 3; }
long exported(long n) { return hidden(n) + v; }
`}
	path := compile(t, l)
	b, err := NewBuild(open(t, path), nil, []string{"hidden", "exported"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, "strip", "--strip-all", path)
	f := open(t, path)
	for _, name := range []string{"hidden", "exported"} {
		fn := function(t, b, name)
		if size, ok := f.FrameSize(fn.Address); !ok || size != fn.Size {
			t.Errorf("%s: %d bytes, %v, want %d", name, size, ok, fn.Size)
		}
		if size, ok := f.FrameSize(fn.Address + 1); ok {
			t.Errorf("%d bytes behind the first byte of %s", size, name)
		}
	}
	if _, ok := f.FrameSize(0); ok {
		t.Error("a function at 0")
	}
}
