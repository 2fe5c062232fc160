package elfinfo

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const patchable = "-fpatchable-function-entry=16,14"

func TestEntryKindsOfCompiledFunctions(t *testing.T) {
	const source = `
		int table[4];
		__attribute__((noinline)) int plain(int x) { return x * 31 + table[x & 3]; }
		void tiny(void) {}
		__asm__(".globl looped\n.type looped,@function\nlooped: inc %rdi\n cmpb $0,(%rdi)\n jne looped+3\n ret\n.size looped,.-looped");
		__asm__(".globl target\n.type target,@function\ntarget: push %rbp\n mov %rsp,%rbp\n nop\n pop %rbp\n ret\n.size target,.-target");
		__asm__(".globl neighbour\n.type neighbour,@function\nneighbour: push %rbp\n jmp target+1\n.size neighbour,.-neighbour");
		__asm__(".globl outer\n.type outer,@function\nouter: push %rbx\n.globl inner\n.type inner,@function\n"
			"inner: push %rbp\n push %rbx\n push %r12\n push %r13\n ret\n.size inner,.-inner\n.size outer,.-outer");
		int (*resolve(void))(int) { return plain; }
		int chosen(int) __attribute__((ifunc("resolve")));`
	for _, tc := range []struct {
		name     string
		flags    []string
		function string
		kind     EntryKind
		offset   int
		reason   string
	}{
		{name: "padded", flags: []string{patchable}, function: "plain", kind: EntryPadded},
		{name: "padded and tiny", flags: []string{patchable}, function: "tiny", kind: EntryPadded},
		{name: "padded with CET", flags: []string{patchable, "-fcf-protection=full"}, function: "plain", kind: EntryPadded, offset: 4},
		{name: "more padding", flags: []string{"-fpatchable-function-entry=24,20"}, function: "plain", kind: EntryPadded},
		{name: "all padding behind the entry", flags: []string{"-fpatchable-function-entry=16,0"}, function: "plain", kind: EntryStock},
		{name: "stock", function: "plain", kind: EntryStock},
		{name: "stock with CET", flags: []string{"-fcf-protection=full"}, function: "plain", kind: EntryStock, offset: 4},
		{name: "too short", function: "tiny", kind: EntryNone, reason: "function is 1 bytes, a detour needs 5"},
		{name: "too short with CET", flags: []string{"-fcf-protection=full"}, function: "tiny", kind: EntryNone, reason: "function is 5 bytes, a detour needs 9"},
		{name: "loop into the prologue", function: "looped", kind: EntryNone, reason: "a branch at +0x6 lands at +0x3"},
		{name: "branch from a neighbour", function: "target", kind: EntryNone, reason: "function neighbour lands at +0x1"},
		{name: "second entry", function: "outer", kind: EntryNone, reason: "function inner starts at +0x1"},
		{name: "second entry itself", function: "inner", kind: EntryStock},
		{name: "indirect function", function: "chosen", kind: EntryNone, reason: "IFUNC"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := function(t, build(t, library{source: source, flags: tc.flags}, tc.function), tc.function)
			if f.Entry.Kind != tc.kind || f.Entry.Offset != tc.offset || !strings.Contains(f.Entry.Reason, tc.reason) {
				t.Errorf("got %+v, want %s at %d, reason %q\n% x", f.Entry, tc.kind, tc.offset, tc.reason, f.Bytes)
			}
		})
	}
}

// A jump from far away, as from a part of the function in another section.
func TestFarJumpIntoEntry(t *testing.T) {
	b := build(t, library{source: `
		__asm__(".text\n.globl target\n.type target,@function\ntarget: push %rbp\n mov %rsp,%rbp\n nop\n pop %rbp\n ret\n.size target,.-target\n"
			".globl fine\n.type fine,@function\nfine: push %rbp\n mov %rsp,%rbp\n nop\n pop %rbp\n ret\n.size fine,.-fine\n"
			".fill 4096,1,0x90\n"
			"jne target+4\n jmp fine\n"
			".globl other\n.type other,@function\nother: mov $0xe9,%bl\n.long fine+1-(.+4)\n ret\n.size other,.-other\n");`}, "target", "fine")
	if e := function(t, b, "target").Entry; e.Kind != EntryNone || !strings.Contains(e.Reason, "lands at +0x4") {
		t.Errorf("target: %+v", e)
	}
	if e := function(t, b, "fine").Entry; e.Kind != EntryStock {
		t.Errorf("fine: %+v", e)
	}
}

func TestRecordOfFunction(t *testing.T) {
	const source = `
		struct item { int key; };
		typedef int (*compare)(const void *, const void *);
		static inline int twice(int x) { return 2 * x + 1; }
		int (*keep)(int) = twice;
		int first(int x) { return twice(x); }
		int second(struct item *const *restrict items, const char *name, compare c, ...) { return twice(c(items, name)); }
		void (*third(int a[3], char (*grid)[4][5], void (*f)(int, void *)))(long) { f(a[0], grid); return 0; }
		unsigned old();
		unsigned old() { return 1; }
		_Bool none(void) { return 0; }
		int alias(int) __attribute__((alias("first")));
		__thread long per_thread = 3;
		double number;`
	b := build(t, library{source: source, flags: []string{"-g"}},
		"first", "second", "third", "old", "none", "alias", "twice", "per_thread", "number", "nothing")
	for name, want := range map[string]string{
		"first":  "int first(int x)",
		"alias":  "int alias(int x)",
		"second": "int second(struct item *const *restrict items, const char *name, compare c, ...)",
		"third":  "void (*third(int *a, char (*grid)[4][5], void (*f)(int, void *)))(long int)",
		"old":    "unsigned int old()",
		"none":   "_Bool none(void)",
		"twice":  "int twice(int x)",
	} {
		f := function(t, b, name)
		if f.Prototype != want || f.Source != "a.c" || uint64(len(f.Bytes)) != f.Size {
			t.Errorf("%s in %q: %q, want %q", name, f.Source, f.Prototype, want)
		}
	}
	if got := function(t, b, "twice").InlinedInto; !slices.Equal(got, []string{"first@a.c", "second@a.c"}) {
		t.Errorf("twice is inlined into %q", got)
	}
	if got := function(t, b, "first").InlinedInto; got != nil {
		t.Errorf("first is inlined into %q", got)
	}
	if f := function(t, b, "twice"); f.Binding != "local" || f.Kind != "func" {
		t.Errorf("twice: %+v", f)
	}
	v, err := b.Variable("per_thread")
	if err != nil || !v.TLS || v.Size != 8 || v.Binding != "global" {
		t.Errorf("per_thread: %+v, %v", v, err)
	}
	if v, err = b.Variable("number"); err != nil || v.TLS || v.Size != 8 {
		t.Errorf("number: %+v, %v", v, err)
	}
	if !slices.Equal(b.Absent, []string{"nothing"}) {
		t.Errorf("absent: %q", b.Absent)
	}
}

// Copies of a function in itself go with it; one behind a nested function is
// the outer function's.
func TestInlinedIntoItselfAndAroundNested(t *testing.T) {
	b := build(t, library{source: `
		int sink;
		static inline __attribute__((always_inline)) int twice(int x) { sink++; return 2 * x; }
		int (*keep)(int) = twice;
		int outer(int x) {
			__attribute__((noinline)) int nested(int y) { sink += y; return y * x + 1; }
			return nested(x) + twice(x);
		}
		int down(int n) { return n < 2 ? 1 : (sink += n) + down(n - 1) * down(n - 2); }`,
		flags: []string{"-g", "-O3"}}, "twice", "down")
	if got := function(t, b, "twice").InlinedInto; !slices.Equal(got, []string{"outer@a.c"}) {
		t.Errorf("twice is inlined into %q", got)
	}
	if got := function(t, b, "down").InlinedInto; got != nil {
		t.Errorf("down is inlined into %q", got)
	}
}

func TestUnwindFacts(t *testing.T) {
	path := compile(t, library{
		sources: map[string]string{"a.cc": `
			struct guard { guard(); ~guard(); };
			void work();
			extern "C" {
			int plain(int x) { return x * 3; }
			void cleans() { guard g; work(); }
			int hook(int (*f)(int)) { return f(1) + 1; }
			int tail(int (*f)(int)) { return f(1); }
			void calls() { work(); work(); }
			int read(int x) { return x; }
			}`},
		flags: []string{"-fno-plt"},
	})
	f := open(t, path)
	b, err := NewBuild(f, nil, []string{"plain", "cleans", "hook", "tail", "calls", "read"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Unwind{
		"plain":  {},
		"cleans": {Personality: true},
		"hook":   {CallsBack: true},
		"tail":   {},
		"calls":  {},
		"read":   {}, // not libc's
	} {
		fn := function(t, b, name)
		if fn.Unwind != want {
			t.Errorf("%s: %+v, want %+v", name, fn.Unwind, want)
		}
		if got, err := f.UnwindOf(name, fn.Address, fn.Bytes); got != want || err != nil {
			t.Errorf("%s: %+v without a record, %v, want %+v", name, got, err, want)
		}
	}
}

func TestCancellationPoints(t *testing.T) {
	b := build(t, library{source: `
		__attribute__((noinline,visibility("hidden"))) long __syscall_cancel(long n) { __asm__ volatile("nop"); return n; }
		int other(int x) { return __syscall_cancel(x) + 1; }
		int tail(int x) { return __syscall_cancel(x); }
		long __libc_read(int x) { return x; }
		int strlen_(int x) { return x; }`,
		flags: []string{"-Wl,-soname,libc.so.6"}}, "other", "tail", "__libc_read", "strlen_")
	for name, want := range map[string]bool{"other": true, "tail": true, "__libc_read": true, "strlen_": false} {
		if got := function(t, b, name).Unwind.Cancellation; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestSameNameInTwoFiles(t *testing.T) {
	b := build(t, library{sources: map[string]string{
		"one.c": "static __attribute__((noinline)) int helper(int x) { return x * 7 + 1; } int one(int x) { return helper(x); } static int state = 1; int *p1 = &state;",
		"two.c": "static __attribute__((noinline)) int helper(int x) { return x * 9 + 2; } int two(int x) { return helper(x); } static int state = 2; int *p2 = &state;",
	}}, "helper@one.c", "state", "one")
	_, err := b.Function("helper")
	if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "helper@one.c, helper@two.c") {
		t.Errorf("got %v", err)
	}
	one, two := function(t, b, "helper@one.c"), function(t, b, "helper@two.c")
	if one.Address == two.Address || one.Source != "one.c" || two.Source != "two.c" {
		t.Errorf("got %+v and %+v", one, two)
	}
	if _, err := b.Variable("state"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("got %v", err)
	}
	if v, err := b.Variable("state@two.c"); err != nil || v.Source != "two.c" {
		t.Errorf("got %+v, %v", v, err)
	}
	if _, err := b.Function("helper@three.c"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "there is helper@one.c, helper@two.c") {
		t.Errorf("got %v", err)
	}
}

// An old version of a name is not what the bare name means.
func TestOldVersionsAreNotTheName(t *testing.T) {
	b := build(t, library{
		sources: map[string]string{
			"a.c": `
				__asm__(".symver old_f,f@V1\n.symver new_f,f@@V2\n.symver old_g,g@V1");
				int old_f(int x) { return x * 3 + 1; }
				int new_f(int x) { return x * 5 + 2; }
				int old_g(int x) { return x * 7 + 3; }`,
			"v.map": "V1 { global: f; g; local: *; }; V2 { global: f; } V1;",
		},
		flags: []string{"-Wl,--version-script=$DIR/v.map"},
	}, "f", "new_f", "g")
	if f, n := function(t, b, "f"), function(t, b, "new_f"); f.Address != n.Address {
		t.Errorf("f is at %#x, its default version at %#x", f.Address, n.Address)
	}
	function(t, b, "g") // has no other version
}

func TestSeparateDebugFile(t *testing.T) {
	const source = "static __attribute__((noinline)) int hidden(int x) { return x * 7 + 1; } int shown(int x) { return hidden(x); }"
	for _, tc := range []struct {
		name  string
		flags []string
		split func(t *testing.T, lib, debug string)
	}{
		{name: "objcopy", split: splitObjcopy},
		{name: "objcopy, compressed", flags: []string{"-gz=zlib"}, split: splitObjcopy},
		{name: "eu-strip", split: func(t *testing.T, lib, debug string) { run(t, "eu-strip", "-f", debug, lib) }},
		{name: "eu-strip, DWARF 4", flags: []string{"-gdwarf-4"}, split: func(t *testing.T, lib, debug string) { run(t, "eu-strip", "-f", debug, lib) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lib := compile(t, library{source: source, flags: append(tc.flags, "-g")})
			debug := filepath.Join(t.TempDir(), "lib.debug")
			tc.split(t, lib, debug)
			d := open(t, debug)
			if !d.DebugOnly() || d.BuildID() == "" {
				t.Fatalf("debug file: %v, build-id %q", d.DebugOnly(), d.BuildID())
			}
			b, err := NewBuild(open(t, lib), d, []string{"hidden", "shown"})
			if err != nil {
				t.Fatal(err)
			}
			f := function(t, b, "hidden")
			if f.Prototype != "int hidden(int x)" || f.Source != "a.c" || f.Entry.Kind != EntryStock || f.Binding != "local" {
				t.Errorf("hidden: %+v", f)
			}
			b, err = NewBuild(open(t, lib), nil, []string{"hidden", "shown"})
			if err != nil || !slices.Equal(b.Absent, []string{"hidden"}) || function(t, b, "shown").Size == 0 {
				t.Errorf("without the debug file: absent %q, %v", b.Absent, err)
			}
		})
	}
}

// The program headers of a debug file describe the library, not the file.
func TestDebugFileWithMeaninglessSegments(t *testing.T) {
	lib := compile(t, library{source: "int f(int x) { return x * 3 + 1; }", flags: []string{"-g"}})
	debug := filepath.Join(t.TempDir(), "lib.debug")
	splitObjcopy(t, lib, debug)
	data := read(t, debug)
	for i := range int(le.Uint16(data[56:])) {
		le.PutUint64(data[headerSize+i*segmentSize+8:], 1<<40)  // p_offset
		le.PutUint64(data[headerSize+i*segmentSize+32:], 1<<20) // p_filesz
	}
	d, err := newFile(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBuild(open(t, lib), d, []string{"f"})
	if err != nil || function(t, b, "f").Prototype != "int f(int x)" {
		t.Errorf("got %v", err)
	}
}

func TestSplitVersion(t *testing.T) {
	for _, tc := range []struct {
		symbol, name, version string
		isDefault             bool
	}{
		{symbol: "malloc", name: "malloc", isDefault: true},
		{symbol: "memcpy@@GLIBC_2.14", name: "memcpy", version: "GLIBC_2.14", isDefault: true},
		{symbol: "memcpy@GLIBC_2.2.5", name: "memcpy", version: "GLIBC_2.2.5"},
		{symbol: "@odd", name: "@odd", isDefault: true},
	} {
		name, version, isDefault := splitVersion(tc.symbol)
		if name != tc.name || version != tc.version || isDefault != tc.isDefault {
			t.Errorf("%s: %q, %q, %v", tc.symbol, name, version, isDefault)
		}
	}
}

func splitObjcopy(t *testing.T, lib, debug string) {
	run(t, "objcopy", "--only-keep-debug", lib, debug)
	run(t, "objcopy", "--strip-all", lib)
}

func TestNewBuildRefuses(t *testing.T) {
	lib := compile(t, library{source: "int f(int x) { return x * 3 + 1; }", flags: []string{"-g"}})
	other := compile(t, library{source: "int f(int x) { return x * 5 + 2; }", flags: []string{"-g"}})
	unnamed := compile(t, library{source: "int f(int x) { return x * 3 + 1; }", flags: []string{"-Wl,--build-id=none"}})
	if _, err := NewBuild(open(t, lib), open(t, other), nil); !errors.Is(err, ErrBuildID) {
		t.Errorf("debug file of another build: %v", err)
	}
	if _, err := NewBuild(open(t, unnamed), nil, nil); !errors.Is(err, ErrBuildID) {
		t.Errorf("no build-id: %v", err)
	}
	for _, name := range []string{"", "@a.c", "f@", "f@a@b", "f\n", "f g"} {
		if _, err := NewBuild(open(t, lib), nil, []string{name}); !errors.Is(err, ErrFormat) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	debug := filepath.Join(t.TempDir(), "lib.debug")
	run(t, "objcopy", "--only-keep-debug", lib, debug)
	if _, err := NewBuild(open(t, debug), nil, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("a debug file as library: %v", err)
	}
}
