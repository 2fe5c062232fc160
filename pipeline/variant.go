package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/cpu"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// hwcaps is the folder beside libraries that has builds of them for newer
// processors, by the names of levels of the psABI (ld.so(8)).
const hwcaps = "glibc-hwcaps"

// level is the level of the processor that a build is for, "" if it is for any.
func level(build *elfinfo.Build) string {
	dir := path.Dir(build.Library)
	if path.Base(path.Dir(dir)) != hwcaps {
		return ""
	}
	return path.Base(dir)
}

// levels are the features of each level beyond the one before, as far as they
// can be asked for (x86-64 psABI 3.1.1, table 3.1).
var levels = []struct {
	name string
	has  bool
}{
	{"x86-64-v2", cpu.X86.HasCX16 && cpu.X86.HasPOPCNT && cpu.X86.HasSSE3 && cpu.X86.HasSSE41 && cpu.X86.HasSSE42 && cpu.X86.HasSSSE3},
	{"x86-64-v3", cpu.X86.HasAVX && cpu.X86.HasAVX2 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasFMA && cpu.X86.HasOSXSAVE},
	{"x86-64-v4", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512CD && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL},
}

// cannotRun says why this machine cannot run a build, "" if it can.
func cannotRun(build *elfinfo.Build) string {
	want := level(build)
	for _, l := range levels {
		if want == "" || !l.has {
			break
		}
		if l.name == want {
			return ""
		}
	}
	if want == "" {
		return ""
	}
	return fmt.Sprintf("this machine's processor is no %s", want)
}

// libraryDir is the folder in which the test program finds the libraries of the
// build's package, and there the build itself: where the package has variants
// for processors, the loader would choose the best one for this machine. Then
// it is a folder of links without variants.
func (j *testJob) libraryDir() (dir, library string, err error) {
	if library, err = j.store.Library(j.build); err != nil {
		return "", "", err
	}
	if dir, err = j.store.LibraryDir(j.build); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(filepath.Join(dir, hwcaps)); errors.Is(err, fs.ErrNotExist) {
		return dir, library, nil
	}
	links := j.out + ".libraries"
	if err := os.MkdirAll(links, 0o777); err != nil {
		return "", "", err
	}
	// The variant's neighbours are of the same level.
	for _, from := range []string{filepath.Dir(library), dir} {
		if err := linkFiles(from, links); err != nil {
			return "", "", err
		}
	}
	own := filepath.Join(links, j.build.Soname)
	if err := os.Remove(own); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return links, own, os.Symlink(library, own)
}

// linkFiles makes links in the folder to, to what is no folder in from and has
// no link there yet.
func linkFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
