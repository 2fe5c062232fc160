package injector

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

func TestContainersThatAreRefused(t *testing.T) {
	s := newScene(t)
	ref := func(r livepatch.MetadataReference) []livepatch.MetadataReference {
		return []livepatch.MetadataReference{r}
	}
	for _, tt := range []struct {
		name   string
		source string
		args   []string
		refs   []livepatch.MetadataReference
		want   string
	}{
		{name: "constructor", source: `__attribute__((constructor)) static void f(void) { __asm__(""); }`, want: "constructor"},
		{name: "constructor without start files", source: `__attribute__((constructor)) static void f(void) { __asm__(""); }`, args: []string{"-nostartfiles"}, want: "constructor"},
		{name: "destructor", source: `__attribute__((destructor)) static void f(void) { __asm__(""); }`, want: "destructor"},
		{name: "initialisation function", source: "long f(void) { return 1; }", args: []string{"-nostartfiles", "-Wl,-init,f"}, want: "DT_INIT"},
		{name: "finalisation function", source: "long f(void) { return 1; }", args: []string{"-nostartfiles", "-Wl,-fini,f"}, want: "DT_FINI"},
		{name: "thread-local variable", source: "__thread long v; long f(void) { return v; }", want: "thread-local"},
		{name: "IFUNC", source: "static void *r(void) { return 0; } long f(void) __attribute__((ifunc(\"r\"))); long g(void) { return f(); }", want: "IFUNC"},
		{name: "unknown symbol", source: "extern long nowhere(void); long f(void) { return nowhere(); }", want: "nowhere"},
		{name: "unknown library", source: "extern double cbrt(double); double f(double d) { return cbrt(d); }", args: []string{"-lm"}, want: "libm.so.6"},
		{name: "executable stack", source: "long f(void) { return 1; }", args: []string{"-Wl,-z,execstack"}, want: "executable stack"},
		{
			name: "relocated code", args: []string{"-nostartfiles", "-Wl,-z,notext"}, want: "DT_TEXTREL",
			source: `extern long nowhere(void); __asm__(".text\n.quad nowhere"); long f(void) { return 1; }`,
		},
		{
			name: "reference into code", source: "long f(void) { return 1; }", want: "outside",
			refs: ref(livepatch.MetadataReference{Reference: "x", TargetOffset: 16, PatchOffset: 0x1000}),
		},
		{
			name: "reference beyond the container", source: "long f(void) { return 1; }", want: "outside",
			refs: ref(livepatch.MetadataReference{Reference: "x", TargetOffset: 16, PatchOffset: 1 << 63}),
		},
		{
			name: "reference beyond the library", source: "long v;", want: "has nothing at",
			refs: ref(livepatch.MetadataReference{Reference: "v", TargetOffset: 1 << 40}),
		},
		{
			name: "reference beyond thread-local storage", source: "long v[2];", want: "thread-local variable",
			refs: ref(livepatch.MetadataReference{Reference: "v", TargetOffset: 1 << 20, TLS: true}),
		},
		{
			name: "reference to nothing", source: "long v;", want: "unknown",
			refs: ref(livepatch.MetadataReference{Reference: "unknown", TargetOffset: 16}),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := library(t, "container.so", tt.source, append([]string{"-fno-builtin"}, tt.args...)...)
			c := readUnpacked(t, path, tt.refs...)
			c.Info = &livepatch.Info{} // libpulp's containers may have constructors
			_, _, err := s.image(c, "libtls.so.1")
			if !errors.As(err, new(blocked)) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// A container of constants and code alone needs one mapping.
func TestWritablePages(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		pages        uint64
	}{
		{"no data", "extern long puts(const char *); long f(void) { return puts(\"x\"); } void *const p = &f;", 0},
		{"data", "long v = 1; long f(void) { return ++v; }", 1},
		{"data of several pages", "long v[1024] = {1}; long f(void) { return ++v[3]; }", 3},
		{"no contents", "static long v[1024]; long f(long i) { return ++v[i]; }", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := library(t, "container.so", tt.source, "-nostartfiles", "-Wl,-z,relro,-z,now")
			l, err := newLayout(readUnpacked(t, path))
			if err != nil {
				t.Fatal(err)
			}
			if got := (l.size - l.writable) / pageSize; got > tt.pages || (got == 0) != (tt.pages == 0) {
				t.Errorf("%d writable pages of %d, want at most %d", got, l.size/pageSize, tt.pages)
			}
		})
	}
}

// A container cut off anywhere, or with a byte changed, is an error or harmless.
func TestDamagedContainers(t *testing.T) {
	path := library(t, "container.so", unversionedSource, "-nostdlib", "-Wl,-z,undefs")
	whole := readUnpacked(t, path)
	for n := range whole.Data {
		c := &livepatch.Container{Name: "cut", Data: whole.Data[:n]}
		if _, err := newLayout(c); err == nil && n < 1024 {
			t.Errorf("%d bytes of %d are accepted", n, len(whole.Data))
		}
		changed := slices.Clone(whole.Data)
		changed[n] ^= 0xff
		if l, err := newLayout(&livepatch.Container{Name: "changed", Data: changed}); err == nil && l.writable > l.size {
			t.Errorf("byte %d: %d writable of %d", n, l.writable, l.size)
		}
	}
	if _, err := newLayout(&livepatch.Container{Name: "empty"}); !errors.Is(err, elfinfo.ErrFormat) {
		t.Errorf("an empty container gives %v", err)
	}
}
