package versions

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/rpmpack"
)

// pairSpec builds two libraries as Fedora and openSUSE do: debug information split off, with minidebuginfo, what both
// libraries have moved to a file of its own by dwz.
const pairSpec = `
Name: pair
Version: 1.0
Release: 1
Summary: two libraries
License: MIT
%define _include_minidebuginfo 1
%define _unique_build_ids 1
%define _unique_debug_names 1
%define _find_debuginfo_dwz_opts --run-dwz --dwz-low-mem-die-limit 10000000 --dwz-max-die-limit 110000000
%define __brp_strip %{nil}
%define __brp_strip_comment_note %{nil}
%define source_date_epoch_from_changelog 0
%debug_package
%description
%prep
%setup -q -c -T
cp %{_sourcedir}/*.[ch] .
%build
for l in one two; do
	sed "s/NAME/$l/g" pair.c >$l.c
	gcc -g -O2 -shared -fPIC -Wl,-soname,lib$l.so.1 -Wl,--build-id=sha1 -o lib$l.so.1 $l.c
done
%install
mkdir -p %{buildroot}/usr/lib64
cp lib*.so.1 %{buildroot}/usr/lib64
%files
/usr/lib64/*
`

const (
	pairHeader = `
struct pair { int first; struct pair *next; char name[16]; };
typedef struct pair pair_type;
static inline int sum(const pair_type *p) { int s = 0; for (; p; p = p->next) s += p->first; return s; }
`
	pairSource = `
#include "pair.h"
static int secret_NAME = 3;
static __attribute__((noipa)) int hidden_NAME(const pair_type *p) { return sum(p) + secret_NAME; }
int NAME(const pair_type *p) { secret_NAME++; return hidden_NAME(p) + sum(p->next); }
`
)

// A distro is what rpmbuild made of pairSpec: the folder of packages, and their files by path.
type distro struct {
	rpms               string
	packaged, debugged []rpmpack.RPMFile
	err                error
}

// pairDir is where buildPair has built, "" if it has not.
var pairDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if pairDir != "" {
		if err := os.RemoveAll(pairDir); err != nil {
			code = 1
		}
	}
	os.Exit(code)
}

// buildPair builds the packages once.
var buildPair = sync.OnceValue(func() (d distro) {
	dir, err := os.MkdirTemp("", "lpbuild-pair-")
	if err != nil {
		return distro{err: err}
	}
	pairDir = dir
	for name, text := range map[string]string{"pair.spec": pairSpec, "SOURCES/pair.h": pairHeader, "SOURCES/pair.c": pairSource} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return distro{err: err}
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return distro{err: err}
		}
	}
	cmd := exec.Command("rpmbuild", "-bb", "--define", "_topdir "+dir, filepath.Join(dir, "pair.spec"))
	if out, err := cmd.CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		return distro{err: err}
	}
	d.rpms = filepath.Join(dir, "RPMS")
	for name, files := range map[string]*[]rpmpack.RPMFile{"pair": &d.packaged, "pair-debuginfo": &d.debugged} {
		if *files, d.err = unpacked(filepath.Join(d.rpms, "x86_64", name+"-1.0-1.x86_64.rpm")); d.err != nil {
			return d
		}
	}
	return d
})

// unpacked are the files of a package, by rpm2cpio and cpio.
func unpacked(rpm string) (files []rpmpack.RPMFile, err error) {
	dir, err := os.MkdirTemp("", "lpbuild-unpacked-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("sh", "-c", `rpm2cpio "$1" | cpio -idm --quiet`, "sh", rpm)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		return nil, err
	}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f := rpmpack.RPMFile{Name: strings.TrimPrefix(name, dir), Mode: 0o755}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			f.Mode, f.Body = 0o120777, []byte(target)
			files = append(files, f)
			return err
		}
		f.Body, err = os.ReadFile(name)
		files = append(files, f)
		return err
	})
	return files, err
}

// pair is the distribution's packages, or the test is skipped.
func pair(t testing.TB) distro {
	t.Helper()
	need(t, "rpmbuild", "find-debuginfo", "file", "dwz", "gcc", "rpm2cpio", "cpio")
	d := buildPair()
	if d.err != nil {
		t.Fatal(d.err)
	}
	return d
}

// without are the files whose path does not contain part.
func without(files []rpmpack.RPMFile, part string) (rest []rpmpack.RPMFile) {
	for _, f := range files {
		if !strings.Contains(f.Name, part) {
			rest = append(rest, f)
		}
	}
	return rest
}

// changed are the files with a change to those whose path contains part.
func changed(files []rpmpack.RPMFile, part string, change func([]byte) []byte) (out []rpmpack.RPMFile) {
	for _, f := range files {
		if strings.Contains(f.Name, part) && f.Mode&0o170000 != 0o120000 {
			f.Body = change(bytes.Clone(f.Body))
		}
		out = append(out, f)
	}
	return out
}
