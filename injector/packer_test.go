package injector

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// packedSource is a library with what a container of libpulp's packer may
// replace or refer to, also of the kind that no symbol is exported for.
const packedSource = `
#define KEEP __attribute__((noipa))
volatile long base = 1;
static volatile long secret = 40;
static __thread volatile long hidden = 9;
KEEP static long part(long n) { return n + base; }
KEEP long exported(void) { return part(10); }
KEEP long tls_value(void) { return hidden + base - 1; }
KEEP long secret_value(void) { return secret; }
KEEP long other(void) { return base + 70; }
`

// A packerTarget is a running program with that library.
type packerTarget struct {
	*subject
	library, whole string
}

// newPackerTarget builds the library, and strips it if told so.
func newPackerTarget(t testing.TB, strip bool, args ...string) *packerTarget {
	t.Helper()
	p := &packerTarget{library: library(t, "libpacked.so.1", packedSource, append([]string{"-Wl,--build-id=sha1"}, args...)...)}
	p.whole = p.library + ".whole"
	data, err := os.ReadFile(p.library)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.whole, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if strip {
		run(t, "strip", "--strip-all", p.library)
	}
	program := compile(t, "program", subjectSource, "-Wl,--no-as-needed", p.library, "-Wl,-rpath,"+filepath.Dir(p.library))
	p.subject = launch(t, exec.Command(program))
	return p
}

func (p *packerTarget) packing(source string, lines ...string) packing {
	return packing{target: p.library, symbols: p.whole, source: source, lines: lines}
}

// calls checks what functions of the target answer, NAME=VALUE each.
func (p *packerTarget) calls(want ...string) {
	p.t.Helper()
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		if got := p.ask("call %s", name); got != value {
			p.t.Errorf("%s answers %s, want %s", name, got, value)
		}
	}
}

// everything is a patch with several functions, a private one among them, and
// references to a variable, a function and a thread-local variable.
const everythingSource = `
struct tls_index { unsigned long module, offset; } ti;
extern void *__tls_get_addr(struct tls_index *);
volatile long *secret_ptr;
long (*part_ptr)(long);
long part_lp(long n) { return n + 1000; }
long exported_lp(void) { return *secret_ptr + part_ptr(100); }
long tls_lp(void) { return ++*(volatile long *)__tls_get_addr(&ti); }
`

var everythingLines = []string{
	"part:part_lp", "exported:exported_lp", "tls_value:tls_lp",
	"#secret:secret_ptr", "#part:part_ptr", "#%hidden:ti",
}

// Plain containers of `ulp packer` apply to every kind of entry, with and
// without symbols, and are reverted.
func TestContainersOfPacker(t *testing.T) {
	padding := "-fpatchable-function-entry=16,14"
	for _, tt := range []struct {
		name  string
		strip bool
		args  []string
	}{
		{"stock", false, []string{"-fcf-protection=none"}},
		{"stock endbr stripped", true, []string{"-fcf-protection=branch"}},
		{"padded", false, []string{padding, "-fcf-protection=none"}},
		{"padded endbr", false, []string{padding, "-fcf-protection=branch"}},
		{"padded bigger", false, []string{"-fpatchable-function-entry=24,22"}},
		{"padded stripped", true, []string{padding}},
		{"padded stripped without frames", true, []string{padding, "-fno-asynchronous-unwind-tables"}},
		{"stock without frames", false, []string{"-fno-asynchronous-unwind-tables"}},
		{"short build-id", false, []string{"-Wl,--build-id=md5"}},
		{"linked with -Bsymbolic", false, []string{"-Wl,-Bsymbolic"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPackerTarget(t, tt.strip, tt.args...)
			set := []*livepatch.Container{packedWith(t, p.packing(everythingSource, everythingLines...))}
			in := New(Options{})
			for range 2 {
				p.calls("exported=11", "secret_value=40")
				rs, err := in.Apply(background(), only(p.pid), set)
				result(t, Applied, rs, err)
				first := p.ask("call tls_value")
				if next := p.ask("call tls_value"); first == next || len(first) > 2 {
					t.Errorf("the thread-local variable is %s, then %s", first, next)
				}
				// The private function is replaced, too, and the reference to it leads there.
				p.calls("exported=1140", "other=71")
				rs, err = in.Revert(background(), only(p.pid), set)
				result(t, Reverted, rs, err)
			}
			p.calls("exported=11")
		})
	}
}

// Where neither symbols nor frames tell how long a function is, only one made
// for patching is patched.
func TestPackerFunctionOfUnknownSize(t *testing.T) {
	p := newPackerTarget(t, true, "-fno-asynchronous-unwind-tables")
	set := []*livepatch.Container{packedWith(t, p.packing("long part_lp(long n) { return n; }", "part:part_lp"))}
	rs, err := New(Options{}).Apply(background(), only(p.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "size of part is not known") {
		t.Errorf("reason %q", r.Reason)
	}
	p.calls("exported=11")
}

// Functions of the program itself, which is called by the name of its file.
func TestPackerProgram(t *testing.T) {
	source := packedSource + subjectSource
	for _, args := range [][]string{{"-pie", "-fPIE"}, {"-no-pie", "-fno-pie"}, {"-no-pie", "-fno-pie", "-fpatchable-function-entry=16,14"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			program := compile(t, "program", source, append([]string{"-rdynamic", "-Wl,--build-id=sha1"}, args...)...)
			p := &packerTarget{subject: launch(t, exec.Command(program))}
			set := []*livepatch.Container{packed(t, program, everythingSource, everythingLines...)}
			p.calls("exported=11", "tls_value=9")
			rs, err := New(Options{}).Apply(background(), only(p.pid), set)
			if r := result(t, Applied, rs, err); r.Library != "program" {
				t.Errorf("library %q", r.Library)
			}
			p.calls("exported=1140", "tls_value=10", "tls_value=11", "other=71")
			rs, err = New(Options{}).Revert(background(), only(p.pid), nil)
			result(t, Reverted, rs, err)
			p.calls("exported=11", "tls_value=11")
		})
	}
}

// A patch that depends on another one needs it in force, before and after.
func TestPackerDependencies(t *testing.T) {
	p := newPackerTarget(t, false)
	first := packedWith(t, p.packing("long exported_lp(void) { return 100; }", "exported:exported_lp"))
	next := p.packing("long other_lp(void) { return 200; }", "*first.ulp", "other:other_lp")
	next.depends = []*livepatch.Container{first}
	second := packedWith(t, next)
	in := New(Options{})
	for _, tt := range []struct {
		set    []*livepatch.Container
		reason string
	}{
		{[]*livepatch.Container{second}, "has to be applied first"},
		{[]*livepatch.Container{second, first}, first.Name},
	} {
		rs, err := in.Apply(background(), only(p.pid), tt.set)
		if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, tt.reason) {
			t.Errorf("reason %q, want one that says %q", r.Reason, tt.reason)
		}
		p.calls("exported=11", "other=71")
	}
	rs, err := in.Apply(background(), only(p.pid), []*livepatch.Container{first})
	result(t, Applied, rs, err)
	rs, err = in.Apply(background(), only(p.pid), []*livepatch.Container{second})
	result(t, Applied, rs, err)
	p.calls("exported=100", "other=200")
	rs, err = in.Revert(background(), only(p.pid), []*livepatch.Container{first})
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "depends on") {
		t.Errorf("reason %q", r.Reason)
	}
	p.calls("exported=100", "other=200")
	rs, err = in.Revert(background(), only(p.pid), nil)
	result(t, Reverted, rs, err)
	p.calls("exported=11", "other=71")
	rs, err = in.Apply(background(), only(p.pid), []*livepatch.Container{first, second})
	result(t, Applied, rs, err)
	p.calls("exported=100", "other=200")
}

// What libpulp has patched, or has patched once, is not ours to touch.
func TestLibpulpWasThere(t *testing.T) {
	for _, tt := range []struct {
		name, protection string
		entry            []byte
		reason           string
	}{
		{"patched", "none", []byte{0xeb, 0xf0}, "libpulp has patched exported: it leads to 0x123456"},
		{"patched endbr", "branch", []byte{0xf3, 0x0f, 0x1e, 0xfa, 0xeb, 0xec}, "libpulp has patched exported: it leads to 0x123456"},
		{"reverted", "none", []byte{0x66, 0x90}, "reverted"},
		{"reverted endbr", "branch", []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90}, "reverted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPackerTarget(t, false, "-fpatchable-function-entry=16,14", "-fcf-protection="+tt.protection)
			proc := hold(t, p.pid)
			at := p.address("sym exported") - 14
			bytesThere := append([]byte{0xff, 0x25, 0, 0, 0, 0, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0}, tt.entry...)
			if err := proc.writeAt(bytesThere, at); err != nil {
				t.Fatal(err)
			}
			before := mappingsOf(t, p.pid)
			set := []*livepatch.Container{packedWith(t, p.packing(everythingSource, everythingLines...))}
			for _, do := range []func() ([]Result, error){
				func() ([]Result, error) { return New(Options{}).Apply(background(), only(p.pid), set) },
				func() ([]Result, error) { return New(Options{}).Replace(background(), only(p.pid), set) },
				func() ([]Result, error) { return New(Options{}).Check(background(), only(p.pid), set) },
			} {
				rs, err := do()
				if r := result(t, Foreign, rs, err); !strings.Contains(r.Reason, tt.reason) {
					t.Errorf("reason %q, want one that says %q", r.Reason, tt.reason)
				}
			}
			now := make([]byte, len(bytesThere))
			if err := proc.readAt(now, at); err != nil || !bytes.Equal(now, bytesThere) {
				t.Errorf("the function is % x, was % x (%v)", now, bytesThere, err)
			}
			if after := mappingsOf(t, p.pid); len(after) != len(before) {
				t.Errorf("%d mappings, before %d", len(after), len(before))
			}
			p.calls("other=71", "secret_value=40")
		})
	}
}
