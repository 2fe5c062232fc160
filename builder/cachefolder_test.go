package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// compiles is how many times the log of a spyCompiler says that something was
// compiled.
func compiles(t testing.TB, compiler string) int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(filepath.Dir(compiler), "log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(log), " -c ")
}

// TestProjectsShareTheCache: a second project with the same source compiles
// and links nothing, and gets the same bytes.
func TestProjectsShareTheCache(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	o.Compiler, _ = spyCompiler(t)
	first := mustMake(t, p, builds, o)
	before := compiles(t, o.Compiler)
	if before != 1 {
		t.Fatalf("%d compilations of one source for %d builds", before, len(builds))
	}
	q, other := project(t, greetSource, greetTemplate)
	other.CacheDir, other.Compiler = o.CacheDir, o.Compiler
	for i, out := range mustMake(t, q, builds, other) {
		if digest(readFile(t, out.Container)) != digest(readFile(t, first[i].Container)) {
			t.Errorf("%s differs between the projects", out.Build.NEVRA)
		}
	}
	if n := compiles(t, o.Compiler); n != before {
		t.Errorf("the second project compiled %d times", n-before)
	}
}

// TestCompiledOncePerText: builds whose macros make no difference share the
// object, others do not.
func TestCompiledOncePerText(t *testing.T) {
	builds := greetRecords(t)
	for _, tt := range []struct {
		name, source string
		want         int
	}{
		{"unused macros", "int f(int x) { return x; }", 1},
		{"two texts", "int f(int x) { return x + (N > 1); }", 4},
		{"two texts behind a condition", "#if N > 1\nint f(int x) { return 1; }\n#else\nint f(int x) { return 0; }\n#endif\n", 2},
		{"lines", "#if N > 1\n#line 100\n#endif\nint f(int x) { return x; }\n", 1},
		{"lines that matter", "#if N > 1\n#line 100\n#endif\nint f(int x) { return __builtin_LINE(); }\n", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, o := project(t, tt.source, "fix.so\n@libgreet.so.1\ngreet:f\n")
			o.Compiler, _ = spyCompiler(t)
			n := 0
			p.Select = func(*elfinfo.Build) (Selection, error) {
				n++
				return Selection{Defines: []string{fmt.Sprintf("N=%d", n-1)}}, nil
			}
			mustMake(t, p, builds, o)
			if got := compiles(t, o.Compiler); got != tt.want {
				t.Errorf("%d compilations, want %d", got, tt.want)
			}
		})
	}
}

// TestHeadersOfABuild: a build's own headers come first; equal ones in another
// folder, or with other comments, are not compiled again and leave no trace.
func TestHeadersOfABuild(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, "#include <assert.h>\n#include <greet.h>\nint f(int x) { return STEP + where()[x]; }\n", "fix.so\n@libgreet.so.1\ngreet:f\n")
	o.Compiler, _ = spyCompiler(t)
	dirs := make([]string, len(builds))
	for i, text := range []string{"#define STEP 1\n", "/* a\nb */\n#define STEP 1\n", "#define STEP 2\n", "#define STEP 1\n"} {
		dirs[i] = t.TempDir()
		writeFile(t, filepath.Join(dirs[i], "greet.h"), text+"static const char *where(void) { return __FILE__; }\n")
	}
	n := 0
	p.Select = func(*elfinfo.Build) (Selection, error) {
		n++
		return Selection{Headers: dirs[n-1 : n]}, nil
	}
	outcomes := mustMake(t, p, builds, o)
	if got := compiles(t, o.Compiler); got != 2 {
		t.Errorf("%d compilations, want 2", got)
	}
	for i, out := range outcomes {
		if data := string(readFile(t, out.Container)); strings.Contains(data, dirs[i]) || !strings.Contains(data, "/usr/include/greet.h") {
			t.Errorf("%s names the folder of its headers", out.Build.NEVRA)
		}
	}
	// A header changes: only its build is made again.
	writeFile(t, filepath.Join(dirs[3], "greet.h"), "#define STEP 3\nstatic const char *where(void) { return __FILE__; }\n")
	n = 0
	for i, out := range mustMake(t, p, builds, o) {
		if out.Cached != (i != 3) {
			t.Errorf("%s: cached %v", out.Build.NEVRA, out.Cached)
		}
	}
}

func TestCacheDistrustsWhatOthersWrote(t *testing.T) {
	key := digest([]byte("key"))
	for name, spoil := range map[string]func(s *store, file string) error{
		"others may write": func(_ *store, file string) error { return os.Chmod(file, 0o666) },
		"a link": func(_ *store, file string) error {
			return errors.Join(os.Rename(file, file+".away"), os.Symlink(file+".away", file))
		},
		"a FIFO": func(_ *store, file string) error { return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600)) },
		"another's": func(_ *store, file string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(file, 0o666) // only root can give a file away
			}
			return os.Chown(file, 12345, 12345)
		},
		"another text with the old digest": func(_ *store, file string) error {
			data, err := os.ReadFile(file)
			return errors.Join(err, os.WriteFile(file, append(data, 'x'), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &store{dir: t.TempDir()}
			s.put("kind", key, []byte("payload"))
			if _, ok := s.get("kind", key); !ok {
				t.Fatal("the entry itself is not used")
			}
			if err := spoil(s, s.file("kind", key)); err != nil {
				t.Fatal(err)
			}
			if data, ok := s.get("kind", key); ok {
				t.Errorf("got %q", data)
			}
		})
	}
}

// TestFolderOfOthersIsNoCache: what is in it would be linked into containers.
func TestFolderOfOthersIsNoCache(t *testing.T) {
	builds := greetRecords(t)[:1]
	p, o := project(t, greetSource, greetTemplate)
	mustMake(t, p, builds, o)
	if err := os.Chmod(o.CacheDir, 0o777); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if out := mustMake(t, p, builds, o)[0]; out.Cached {
		t.Error("a folder that anybody can write to was used")
	}
	if _, err := ClearCache(o.CacheDir); err == nil {
		t.Error("and it was removed")
	}
}

// TestCacheThatCannotBeWritten: a full disk makes it slower and nothing else.
func TestCacheThatCannotBeWritten(t *testing.T) {
	p, o := project(t, greetSource, greetTemplate)
	if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && unix.Mount("tmpfs", o.CacheDir, "tmpfs", 0, "size=8k,mode=0700") == nil {
		defer unix.Unmount(o.CacheDir, unix.MNT_DETACH) //nolint:errcheck // of a folder of this test
	} else {
		for _, kind := range []string{"objects", "preprocessed", "links", "containers", "toolchains", "types"} {
			writeFile(t, filepath.Join(o.CacheDir, kind), "in the way")
		}
	}
	for range 2 {
		var log bytes.Buffer
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		mustMake(t, p, greetRecords(t), o)
		if n := strings.Count(log.String(), "WARN"); n != 1 {
			t.Errorf("%d warnings of one folder: %s", n, log.String())
		}
	}
	err := filepath.WalkDir(o.CacheDir, func(name string, d fs.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), temporary) {
			t.Errorf("%s is left", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTrimmedByAge: the bound holds, what was used last stays, and so do files
// that may still be written.
func TestTrimmedByAge(t *testing.T) {
	s := &store{dir: t.TempDir()}
	payload := make([]byte, 1000)
	key := func(i int) string { return digest([]byte{byte(i)}) }
	for i := range 10 {
		s.put("kind", key(i), payload)
		used := time.Now().Add(time.Duration(i-20) * 24 * time.Hour)
		if err := os.Chtimes(s.file("kind", key(i)), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.get("kind", key(0)); !ok { // now it is the one used last
		t.Fatal("no entry 0")
	}
	fresh, dead := filepath.Join(s.dir, "kind", temporary+"1"), filepath.Join(s.dir, "kind", temporary+"2")
	writeFile(t, fresh, "")
	writeFile(t, dead, "")
	old := time.Now().Add(-2 * abandonedAfter)
	if err := os.Chtimes(dead, old, old); err != nil {
		t.Fatal(err)
	}
	if err := trimCache(s.dir, 6*1065); err != nil {
		t.Fatal(err)
	}
	var left []int
	for i := range 10 {
		if _, ok := s.get("kind", key(i)); ok {
			left = append(left, i)
		}
	}
	if fmt.Sprint(left) != "[0 7 8 9]" {
		t.Errorf("entries %v are left, want the four used last", left)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a dead process left is still there: %v", err)
	}
}

func TestMakeKeepsTheCacheBelowItsLimit(t *testing.T) {
	p, o := project(t, greetSource, greetTemplate)
	o.CacheLimit = 1
	mustMake(t, p, greetRecords(t), o)
	if entries, err := listCache(o.CacheDir); err != nil || len(entries) > 0 {
		t.Errorf("%d entries are left, %v", len(entries), err)
	}
}

func TestClearCache(t *testing.T) {
	p, o := project(t, greetSource, greetTemplate)
	if n, err := ClearCache(o.CacheDir); n != 0 || err != nil {
		t.Errorf("no folder: %d, %v", n, err)
	}
	mustMake(t, p, greetRecords(t), o)
	running := useStore(o)
	if _, err := ClearCache(o.CacheDir); !errors.Is(err, ErrCacheInUse) {
		t.Errorf("while a build uses it: %v", err)
	}
	if entries, err := listCache(o.CacheDir); err != nil || len(entries) == 0 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	running.closeStore(0)
	if n, err := ClearCache(o.CacheDir); n == 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if left, err := os.ReadDir(o.CacheDir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestRunsAtOnce: builds of several projects in one cache, in which the same
// file names have other contents.
func TestRunsAtOnce(t *testing.T) {
	builds := greetRecords(t)
	cache := t.TempDir()
	if err := os.Chmod(cache, 0o700); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		p, o := project(t, "#include \"fix.h\"\nint f(int x) { return x + STEP; }\n", "fix.so\n@libgreet.so.1\ngreet:f\n")
		writeFile(t, filepath.Join(p.Dir, "fix.h"), fmt.Sprintf("#define STEP %d\n", 0x1234500+i%3))
		o.CacheDir = cache
		wg.Go(func() {
			for range 2 {
				outcomes, err := Make(t.Context(), []Patch{p}, builds, o)
				if err != nil {
					t.Error(err)
					return
				}
				for _, out := range outcomes {
					want := string([]byte{byte(i % 3), 0x45, 0x23, 0x01})
					if data, err := os.ReadFile(out.Container); err != nil || !strings.Contains(string(data), want) {
						t.Errorf("project %d: %s has the code of another, %v, %v", i, out.Build.NEVRA, err, out.Err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestKilledRun: what a run that was killed leaves in the cache and in the
// output folder is whole or not there.
func TestKilledRun(t *testing.T) {
	if os.Getenv("BUILDER_KILLED_RUN") != "" {
		killedRun(t)
		return
	}
	p, o := project(t, greetSource, greetTemplate)
	o.Compiler, _ = spyCompiler(t)
	ld := filepath.Join(filepath.Dir(o.Compiler), "ld")
	good := readFile(t, ld)
	// The linker kills the program that started it, then itself.
	script(t, ld, "[ \"$1\" = --version ] && exec ld --version\nkill -9 $PPID $$\n")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledRun$")
	cmd.Env = append(os.Environ(), "BUILDER_KILLED_RUN="+filepath.Dir(filepath.Dir(p.Dir)), "BUILDER_COMPILER="+o.Compiler)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v\n%s", err, out)
	}
	if compiles(t, o.Compiler) == 0 {
		t.Fatal("it was killed before it began")
	}
	writeFile(t, ld, string(good))
	for _, out := range mustMake(t, p, greetRecords(t), o) {
		if out.Cached {
			t.Errorf("%s was there already", out.Build.NEVRA)
		}
	}
	if _, err := ClearCache(o.CacheDir); err != nil {
		t.Errorf("the lock of the dead is still held: %v", err)
	}
}

// killedRun makes the project of its parent test until it is killed.
func killedRun(t *testing.T) {
	dir := os.Getenv("BUILDER_KILLED_RUN")
	p := Patch{Name: "fix", Dir: filepath.Join(dir, "livepatches", "fix")}
	o := Options{CacheDir: filepath.Join(dir, "cache"), OutDir: filepath.Join(dir, "build"), Compiler: os.Getenv("BUILDER_COMPILER"), Set: "greet-livepatches", SetVersion: "1.2"}
	_, err := Make(t.Context(), []Patch{p}, greetRecords(t), o)
	t.Error("not killed", err)
}
