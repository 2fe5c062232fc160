package elfinfo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Two libraries that share types, an inlined function and strings.
const (
	sharedHeader = `
#include <stddef.h>
struct pair { int first; struct pair *next; char name[16]; };
typedef struct pair pair_type;
enum color { RED, GREEN };
static inline __attribute__((always_inline)) int shared_inline(pair_type *p, enum color c) {
	int sum = 0;
	for (; p; p = p->next)
		sum += p->first * c;
	return sum;
}
static inline int inner(int x) { return x * 7 + 1; }
static inline int outer(int x) { return inner(x) * inner(x + 3); }
`
	sharedSource = `
#include "shared.h"
static __attribute__((noipa)) int hidden_one(const pair_type *p, enum color c, int (*callback)(pair_type *, size_t)) {
	return callback((pair_type *)p, c) + shared_inline((pair_type *)p, c);
}
static inline __attribute__((always_inline)) int twice(int x) { return 2 * x; }
static __attribute__((noipa)) int back_one(pair_type *p, size_t n) { return p->first + twice(n); }
int (*const table_one[])(int) = {inner, outer};
int one(pair_type *p, enum color c) { return hidden_one(p, c, back_one) + shared_inline(p->next, c) + outer(c); }
`
)

// split is a stripped library and its debug file, of which dwz has moved parts to a third one.
type split struct{ lib, whole, debug, alternate string }

// dwz compiles two libraries and lets dwz move what both have to a file of its own.
func dwz(t testing.TB, dwarf string, options ...string) split {
	t.Helper()
	dir := t.TempDir()
	var debugs []string
	var s split
	write(t, filepath.Join(dir, "shared.h"), sharedHeader) // one file: dwz compares the places of declarations, too
	for _, name := range []string{"two", "one"} {
		source, lib := filepath.Join(dir, name+".c"), filepath.Join(dir, "lib"+name+".so.1")
		write(t, source, strings.ReplaceAll(sharedSource, "one", name))
		run(t, "gcc", "-shared", "-fPIC", "-O2", "-g", dwarf, "-nostartfiles", "-Wl,--build-id=sha1", "-o", lib, source)
		debug := filepath.Join(dir, name+".debug")
		run(t, "objcopy", "--only-keep-debug", lib, debug)
		s.whole = filepath.Join(dir, name+".whole")
		write(t, s.whole, string(read(t, debug)))
		run(t, "objcopy", "--strip-all", lib)
		s.lib, s.debug = lib, debug
		debugs = append(debugs, debug)
	}
	s.alternate = filepath.Join(dir, "shared.dwz")
	args := append(options, "-m", s.alternate, "-M", "/usr/lib/debug/.dwz/shared")
	run(t, "dwz", append(args, debugs...)...)
	return s
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What dwz moved is found again: the record is that of the file before dwz.
func TestAlternateFile(t *testing.T) {
	names := []string{"one", "hidden_one", "back_one", "shared_inline", "twice", "inner"}
	for _, tt := range []struct{ name, dwarf, option string }{
		{"GNU, DWARF 4", "-gdwarf-4", "--no-odr"},
		{"GNU, DWARF 5", "-gdwarf-5", "--no-odr"},
		{"standard, DWARF 5", "-gdwarf-5", "--dwarf-5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := dwz(t, tt.dwarf, tt.option)
			lib, whole, debug := open(t, s.lib), open(t, s.whole), open(t, s.debug)
			if link, ok, err := debug.AltLink(); err != nil || !ok || link.Name != "/usr/lib/debug/.dwz/shared" {
				t.Fatalf("link %+v, %v, %v", link, ok, err)
			}
			want, err := NewBuild(lib, whole, names)
			if err != nil {
				t.Fatal(err)
			}
			if f := function(t, want, "hidden_one"); !strings.Contains(f.Prototype, "const pair_type *") {
				t.Fatalf("before dwz: prototype %q", f.Prototype)
			}
			if f := function(t, want, "inner"); !slices.Equal(f.InlinedInto, []string{"one@one.c", "outer@one.c"}) {
				t.Fatalf("before dwz: inlined into %q", f.InlinedInto)
			}
			both, err := debug.WithAlternate(open(t, s.alternate))
			if err != nil {
				t.Fatal(err)
			}
			have, err := NewBuild(lib, both, names)
			if err != nil {
				t.Fatal(err)
			}
			if string(encode(t, have)) != string(encode(t, want)) {
				t.Errorf("the record of the library after dwz:\n%s\nbefore:\n%s", encode(t, have), encode(t, want))
			}
		})
	}
}

// The names and types that are in the missing file are unknown, and so is who inlined what: nothing is said of types.
func TestAlternateFileIsMissing(t *testing.T) {
	s := dwz(t, "-gdwarf-5")
	b, err := NewBuild(open(t, s.lib), open(t, s.debug), []string{"one", "hidden_one"})
	if err != nil {
		t.Fatal(err)
	}
	if f := function(t, b, "hidden_one"); f.Prototype != "" || f.InlinedInto != nil {
		t.Errorf("from half of the debug information: %q, %v", f.Prototype, f.InlinedInto)
	}
}

func TestAlternateFileIsAnother(t *testing.T) {
	s, other := dwz(t, "-gdwarf-5"), dwz(t, "-gdwarf-4")
	debug := open(t, s.debug)
	for name, tt := range map[string]struct {
		file string
		want error
	}{
		"of other libraries": {other.alternate, ErrBuildID},
		"itself":             {s.debug, ErrBuildID},
		"the library":        {s.lib, ErrBuildID},
	} {
		if _, err := debug.WithAlternate(open(t, tt.file)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := open(t, s.whole).WithAlternate(open(t, s.alternate)); !errors.Is(err, ErrFormat) {
		t.Errorf("a file that needs none: %v", err)
	}
	chained := filepath.Join(t.TempDir(), "chained.dwz")
	link := filepath.Join(t.TempDir(), "link")
	alt := open(t, s.alternate)
	write(t, link, "next\x00"+strings.Repeat("x", 20))
	run(t, "objcopy", "--add-section", ".gnu_debugaltlink="+link, alt.Name(), chained)
	if _, err := debug.WithAlternate(open(t, chained)); !errors.Is(err, ErrFormat) {
		t.Errorf("a file that needs another: %v", err)
	}
}
