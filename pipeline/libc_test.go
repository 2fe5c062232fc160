package pipeline

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// chooseLibc is the choice of C libraries where the project has those builds.
func chooseLibc(t *testing.T, store libraries, builds ...*elfinfo.Build) *libcChoice {
	t.Helper()
	c, err := newLibcChoice(builds, store)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// folders is a store where each build lies in the folder of its NEVRA.
type folders struct{}

func (folders) Library(b *elfinfo.Build) (string, error) {
	return filepath.Join("/", b.NEVRA, b.Soname), nil
}
func (folders) LibraryDir(b *elfinfo.Build) (string, error) { return "/" + b.NEVRA, nil }

func TestChooseLibc(t *testing.T) {
	libc := func(nevra string, year int, versions ...string) *elfinfo.Build {
		b := &elfinfo.Build{NEVRA: nevra, Soname: libcSoname, BuildTime: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
		for _, v := range versions {
			b.Symbols = append(b.Symbols, elfinfo.Symbol{Name: "f", Version: v})
		}
		return b
	}
	shipped := []*elfinfo.Build{
		libc("old", 2020, "GLIBC_2.2.5"),
		libc("new", 2030, "GLIBC_2.2.5", "GLIBC_9.98", "GLIBC_9.99"),
		libc("middle", 2025, "GLIBC_2.2.5", "GLIBC_9.98"),
	}
	host := chooseLibc(t, folders{})
	tests := []struct {
		name    string
		imports []elfinfo.Symbol
		builds  []*elfinfo.Build
		dir     string
		reason  string
	}{
		{name: "nothing asked", dir: host.dir, builds: shipped},
		{
			name: "this machine's is new enough", dir: host.dir, builds: shipped,
			imports: []elfinfo.Symbol{{Name: "f", Version: "GLIBC_2.2.5", Library: libcSoname}},
		},
		{
			name: "another library's version", dir: host.dir, builds: shipped,
			imports: []elfinfo.Symbol{{Name: "f", Version: "GLIBC_9.99", Library: "libz.so.1"}},
		},
		{
			name: "the newest that shipped", dir: "/new", builds: shipped,
			imports: []elfinfo.Symbol{{Name: "f", Version: "GLIBC_9.98", Library: libcSoname}},
		},
		{
			name: "none is new enough", reason: "GLIBC_9.99", builds: shipped[2:],
			imports: []elfinfo.Symbol{{Name: "f", Version: "GLIBC_9.98", Library: libcSoname}, {Name: "g", Version: "GLIBC_9.99", Library: libcSoname}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := chooseLibc(t, folders{}, tt.builds...)
			dir, loaderPath, reason, err := c.choose(&elfinfo.Build{Imports: tt.imports})
			if err != nil || dir != tt.dir || (tt.reason == "") != (reason == "") || !strings.Contains(reason, tt.reason) {
				t.Fatalf("%q, %q, %v, want %q, %q", dir, reason, err, tt.dir, tt.reason)
			}
			if dir != "" && filepath.Base(loaderPath) != loader {
				t.Errorf("loader %q", loaderPath)
			}
		})
	}
}
