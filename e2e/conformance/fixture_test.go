package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// A style is how a container is made.
type style int

const (
	ours     style = iota // as lpbuild makes them: without start files, with .lpbuild
	packer                // as ulp packer does: plain gcc -shared with crt's _init, with .ulp and .ulp.rev alone
	numStyle              // how many there are
)

func (s style) String() string { return [...]string{"ours", "packer's"}[s] }

// eachStyle runs the part of a row that must hold for containers of both styles.
func eachStyle(tb testing.TB, f func(style)) {
	for s := range numStyle {
		tb.Logf("containers: %v", s)
		f(s)
	}
}

// A made file is compiled once for all rows and both runs.
type madeFile struct {
	once sync.Once
	path string
	err  error
}

var made sync.Map // command line to *madeFile

// gcc compiles to a file of that name and returns its path. A %s among the arguments is its folder; what is linked has
// a run path of this test run, so that no other run has the same build-id.
func gcc(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	return compile(tb, "gcc", name, args...)
}

func compile(tb testing.TB, compiler, name string, args ...string) string {
	tb.Helper()
	needs(tb, compiler)
	return once(tb, name, append([]string{compiler}, args...), func(file string) error {
		line := append([]string{"-O2", "-g", "-Wall", "-Wl,-rpath," + work + ",--build-id=sha1", "-o", file}, args...)
		out, err := exec.Command(compiler, line...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w\n%s", compiler, strings.Join(line, " "), err, out)
		}
		return nil
	})
}

// once makes a file the first time that it is asked for with this key.
func once(tb testing.TB, name string, key []string, make func(file string) error) string {
	tb.Helper()
	id := strings.Join(append([]string{name}, key...), "\x00")
	v, _ := made.LoadOrStore(id, new(madeFile))
	m := v.(*madeFile)
	m.once.Do(func() {
		sum := sha256.Sum256([]byte(id))
		dir := filepath.Join(work, hex.EncodeToString(sum[:6]))
		m.path = filepath.Join(dir, name)
		if m.err = os.Mkdir(dir, 0o755); m.err == nil {
			m.err = make(m.path)
		}
	})
	if m.err != nil {
		tb.Fatal(m.err)
	}
	return m.path
}

// needs fails under CI and skips elsewhere if a program is missing.
func needs(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				tb.Fatal(err)
			}
			tb.Skip(err)
		}
	}
}

// library compiles the part LIBRARY of testdata/source.c to a library of that soname.
func library(tb testing.TB, source, soname string, args ...string) string {
	tb.Helper()
	return gcc(tb, soname, append([]string{"-fPIC", "-shared", "-DLIBRARY", "-Wl,-soname," + soname, testdata(source)}, args...)...)
}

// program compiles the part PROGRAM of testdata/source.c and links it with libraries, which it finds where they are.
func program(tb testing.TB, source string, libraries []string, args ...string) string {
	tb.Helper()
	args = append([]string{"-pthread", "-DPROGRAM", testdata(source), "-Wl,--no-as-needed"}, args...)
	for _, l := range libraries {
		args = append(args, l, "-Wl,-rpath,"+filepath.Dir(l))
	}
	return gcc(tb, filepath.Base(source), args...)
}

func testdata(source string) string {
	if filepath.Ext(source) == "" {
		source += ".c"
	}
	return filepath.Join("testdata", source)
}

// A patch is a live patch to be made: the part PATCH of testdata/source.c, with the target and what is replaced in it.
type patch struct {
	source string
	// target is the library or program that is patched.
	target string
	// units are lines of the description: "old:new", "#symbol:variable" and so on.
	units []string
	// value is PATCH in the source: versions of a patch differ by it. 0 is 1.
	value int
	style style
	// comments are lines with bug numbers.
	comments []string
	// constructors: what dlopen would call is to be called.
	constructors bool
	// args are more arguments for gcc; with unfinished, only these say how it is linked.
	args []string
}

// container makes a live patch.
func (p patch) container(tb testing.TB) string {
	tb.Helper()
	linked := p.link(tb)
	dsc := p.description(filepath.Base(linked))
	return once(tb, filepath.Base(linked), []string{linked, p.target, dsc, p.style.String()}, func(file string) error {
		return p.pack(linked, dsc, file)
	})
}

// link compiles the container without metadata.
func (p patch) link(tb testing.TB) string {
	tb.Helper()
	value := max(p.value, 1)
	args := []string{"-fPIC", "-shared", "-DPATCH=" + strconv.Itoa(value), testdata(p.source)}
	if p.style == ours {
		args = append(args, "-nostartfiles", "-nostdlib", "-Wl,-z,relro,-z,now", "-fcf-protection=branch")
	}
	return gcc(tb, fmt.Sprintf("%s_livepatch%d.so", filepath.Base(p.source), value), append(args, p.args...)...)
}

// description is the text that a person would write, but for folders.
func (p patch) description(name string) string {
	var lines []string
	for _, c := range p.comments {
		lines = append(lines, "!"+c)
	}
	lines = append(append(lines, name, "@"+p.target), p.units...)
	return strings.Join(lines, "\n") + "\n"
}

// pack writes a container with the metadata of a description.
func (p patch) pack(linked, dsc, file string) error {
	d, err := livepatch.ParseDescription(filepath.Base(file)+".dsc", []byte(dsc))
	if err != nil {
		return err
	}
	lib, err := elfinfo.Open(p.target)
	if err != nil {
		return err
	}
	defer lib.Close()
	build, err := elfinfo.NewBuild(lib, nil, d.Names())
	if err != nil {
		return err
	}
	in := livepatch.PackInput{Description: d, Info: newInfo(build)}
	if in.BuildID, err = hex.DecodeString(string(build.BuildID)); err != nil {
		return err
	}
	if err := fill(&in, build); err != nil {
		return err
	}
	in.Info.Constructors = p.constructors
	if p.style == packer {
		in.Info = nil
	}
	data, err := os.ReadFile(linked)
	if err != nil {
		return err
	}
	if data, err = livepatch.Pack(data, in); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func newInfo(b *elfinfo.Build) *livepatch.Info {
	return &livepatch.Info{
		Set: "conformance", SetVersion: "1", Patch: "row", NEVRAs: []string{"row-1-1.x86_64"},
		Library: "/usr/lib64/" + b.Soname, Soname: b.Soname, Toolchain: "gcc",
	}
}

// fill looks up what a description names.
func fill(in *livepatch.PackInput, b *elfinfo.Build) error {
	for _, u := range in.Description.Units {
		f, err := b.Function(u.Name())
		if err != nil {
			return err
		}
		in.Addresses = append(in.Addresses, f.Address)
		in.Info.Functions = append(in.Info.Functions, livepatch.Function{
			Old: u.Name(), New: u.New, Address: f.Address, Size: f.Size, SHA256: f.SHA256,
			Entry: string(f.Entry.Kind), Offset: f.Entry.Offset, Length: f.Entry.Length,
			Personality: f.Unwind.Personality, CallsBack: f.Unwind.CallsBack, Cancellation: f.Unwind.Cancellation,
		})
	}
	for _, r := range in.Description.References {
		if r.Explicit && r.TargetOffset != 0 {
			in.TargetOffsets = append(in.TargetOffsets, r.TargetOffset)
			continue
		}
		at, err := address(b, r.Name())
		if err != nil {
			return err
		}
		in.TargetOffsets = append(in.TargetOffsets, at)
	}
	return nil
}

// address is where a build has a variable or, since a reference may name one too, a function.
func address(b *elfinfo.Build, name string) (uint64, error) {
	v, err := b.Variable(name)
	if err == nil {
		return v.Address, nil
	}
	f, fnErr := b.Function(name)
	if fnErr != nil {
		return 0, err
	}
	return f.Address, nil
}

// temporaryFolder is a folder that ends with the test and that any user may enter.
func temporaryFolder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(work, "row-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}
