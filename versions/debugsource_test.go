package versions

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// pairLab is a repository of the two libraries, with packages of debug symbols as given; nil is none.
func pairLab(t testing.TB, packaged, debugged []rpmpack.RPMFile) *lab {
	t.Helper()
	l := newLab(t)
	l.pkg("pair", "1.0", l.key, packaged...)
	if debugged != nil {
		l.pkg("pair-debuginfo", "1.0", l.key, debugged...)
	}
	l.index()
	return l
}

// pairRequest asks for both libraries, where they were before /lib64 became a link to /usr/lib64.
func (l *lab) pairRequest(names ...string) Request {
	r := l.request(names...)
	r.Packages, r.Libraries = []string{"pair"}, []string{"/lib64/libone.so.1", "/lib64/libtwo.so.1"}
	return r
}

var pairNames = []string{"one", "hidden_one", "secret_one", "two", "hidden_two", "nowhere"}

// recordPair downloads and returns what was logged and the records, of libone first.
func (l *lab) recordPair(req Request) (string, []*elfinfo.Build) {
	l.t.Helper()
	var log bytes.Buffer
	opts := l.options()
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	lock, err := Download(ctx, req, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	records, err := ReadRecords(l.project)
	if err != nil || len(records) != 2 || len(lock.Builds) != 2 {
		l.t.Fatalf("%d builds, %d records, %v", len(lock.Builds), len(records), err)
	}
	for i, b := range records {
		if lock.Builds[i].DebugSource != b.DebugSource {
			l.t.Errorf("the lock says %s, the record %s", lock.Builds[i].DebugSource, b.DebugSource)
		}
	}
	return log.String(), records
}

// known is what a record knows of libone.
type known struct{ private, variable, prototype, absent bool }

func knows(b *elfinfo.Build) (k known) {
	if f, err := b.Function("hidden_one"); err == nil {
		k.private = true
		k.prototype = f.Prototype == "int hidden_one(const pair_type *p)"
	}
	_, err := b.Variable("secret_one")
	k.variable = err == nil
	k.absent = slices.Contains(b.Absent, "nowhere")
	return k
}

// Each source in its turn, with what a distribution's own tools make.
func TestDebugSources(t *testing.T) {
	d := pair(t)
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	full := known{private: true, variable: true, prototype: true, absent: true}
	untyped := known{private: true, variable: true, absent: true}
	unlinked := without(d.debugged, ".build-id")
	for _, tt := range []struct {
		name               string
		packaged, debugged []rpmpack.RPMFile
		source             elfinfo.DebugSource
		want               known
		log                string
	}{
		{"by build-id", d.packaged, d.debugged, elfinfo.DebugPackage, full, ""},
		{"dwz's file is missing", d.packaged, without(d.debugged, ".dwz/"), elfinfo.DebugPackage, untyped, "dwz"},
		{"dwz's file is another", d.packaged, changed(d.debugged, ".dwz/", damageID), elfinfo.DebugPackage, untyped, "not the file that dwz"},
		{"by name and CRC", d.packaged, unlinked, elfinfo.DebugByName, full, ""},
		{"another CRC", d.packaged, changed(unlinked, "/usr/lib64/", flip), elfinfo.DebugMini, known{private: true}, "CRC-32"},
		{"beside the library", slices.Concat(d.packaged, beside(unlinked)), nil, elfinfo.DebugByName, untyped, "dwz"},
		{"minidebuginfo", d.packaged, nil, elfinfo.DebugMini, known{private: true}, "only minidebuginfo"},
		{"nothing", changed(d.packaged, "/lib64/", unnamed), nil, elfinfo.DebugNone, known{}, "no debug symbols"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := pairLab(t, tt.packaged, tt.debugged)
			log, records := l.recordPair(l.pairRequest(pairNames...))
			for _, b := range records {
				if b.DebugSource != tt.source {
					t.Errorf("%s: source %s, want %s\n%s", b.Soname, b.DebugSource, tt.source, log)
				}
			}
			if have := knows(records[0]); have != tt.want {
				t.Errorf("known: %+v, want %+v\n%s", have, tt.want, log)
			}
			if !strings.Contains(log, tt.log) || tt.log == "" && strings.Contains(log, "WARN") {
				t.Errorf("log: %q", log)
			}
		})
	}
}

// damageID changes the build-id of a file, which follows its note's owner.
func damageID(b []byte) []byte {
	b[bytes.Index(b, []byte("GNU\x00"))+4] ^= 1
	return b
}

// unnamed hides the sections that lead to debug symbols.
func unnamed(b []byte) []byte {
	for _, name := range []string{".gnu_debuglink", ".gnu_debugdata"} {
		b = bytes.ReplaceAll(b, []byte(name), []byte(strings.Replace(name, "gnu", "xxx", 1)))
	}
	return b
}

// beside moves debug files into the folder of the libraries.
func beside(files []rpmpack.RPMFile) (out []rpmpack.RPMFile) {
	for _, f := range without(without(files, ".dwz/"), "/usr/src") {
		f.Name = strings.TrimPrefix(f.Name, debugRoot)
		out = append(out, f)
	}
	return out
}

// A file with the right build-id and other code is no debug file of the library, whoever signed it.
func TestDebugFileWithBorrowedBuildID(t *testing.T) {
	l := newLab(t)
	c, other := compile(t, "1.9"), compile(t, "12345678901")
	l.pkg("demo", "1.9", l.key, libraryFiles(c)...)
	c.debug = bytes.ReplaceAll(other.debug, unhex(t, other.buildID), unhex(t, c.buildID))
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(c)...)
	l.index()
	if lock, err := Download(ctx, l.request("hidden"), l.options()); !errors.Is(err, elfinfo.ErrBuildID) || lock != nil {
		t.Errorf("%v, %v; want ErrBuildID", lock, err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Links of debug files lead nowhere but into packages of debug symbols, and a file that links to itself is no help.
func TestAlternateLinksThatLie(t *testing.T) {
	d := pair(t)
	var dwz []byte
	for _, f := range d.debugged {
		if strings.Contains(f.Name, ".dwz/") {
			dwz = f.Body
		}
	}
	const name = "../../.dwz/pair-1.0-1.x86_64\x00"
	relink := func(to string) func([]byte) []byte {
		to += strings.Repeat("/", max(0, len(name)-1-len(to)))
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(name), []byte(to[:len(name)-1]+"\x00")) }
	}
	for link, found := range map[string]bool{
		"../../../../../../../etc/passwd":           false,
		"/etc/passwd":                               false,
		"libone.so.1-1.0-1.x86_64.debug":            false,
		"../../../../../../../usr/lib/debug/.dwz/x": false,
		"../../.dwz/././pair-1.0-1.x86":             false,
	} {
		if len(link) >= len(name) {
			link = strings.TrimPrefix(link, "../../../")
		}
		l := pairLab(t, d.packaged, changed(d.debugged, "/usr/lib64/lib", relink(link)))
		log, records := l.recordPair(l.pairRequest(pairNames...))
		if have := knows(records[0]); have.prototype != found || !have.variable || !strings.Contains(log, "dwz") {
			t.Errorf("%s: %+v\n%s", link, have, log)
		}
	}
	if dwz == nil {
		t.Fatal("no dwz file")
	}
	// Another package of debug symbols of the same source may have the file.
	l := pairLab(t, d.packaged, without(d.debugged, ".dwz/"))
	l.pkg("common-debuginfo", "1.0", l.key, rpmpack.RPMFile{Name: debugRoot + "/.dwz/pair-1.0-1.x86_64", Mode: 0o644, Body: dwz})
	l.index()
	req := l.pairRequest(pairNames...)
	req.DebugPackages = []string{"common-debuginfo", "pair-debuginfo"}
	if log, records := l.recordPair(req); !knows(records[0]).prototype {
		t.Errorf("the file is in another package: %+v\n%s", knows(records[0]), log)
	}
}

// Minidebuginfo that unpacks to more than any library has, or to something else, is not used and costs little.
func TestMiniDebugInfoThatLies(t *testing.T) {
	need(t, "xz", "objcopy")
	c := compile(t, "1.9")
	bomb := exec.Command("xz", "-c", "-0")
	bomb.Stdin = io.LimitReader(zeros{}, maxMini+1)
	packed, err := bomb.Output()
	if err != nil {
		t.Fatal(err)
	}
	whole := packedMini(t, c.debug)
	for name, section := range map[string][]byte{
		"bomb":          packed,
		"no xz":         []byte("\x7fELF"),
		"truncated":     whole[:len(whole)/2],
		"empty":         {},
		"another build": packedMini(t, compile(t, "1.10").debug),
		"no ELF file":   packedMini(t, []byte("symbols")),
	} {
		l := newLab(t)
		l.pkg("demo", "1.9", l.key, libraryFiles(compiled{lib: addSection(t, c.lib, ".gnu_debugdata", section)})...)
		l.index()
		var log bytes.Buffer
		opts := l.options()
		opts.Log = slog.New(slog.NewTextHandler(&log, nil))
		lock, err := Download(ctx, l.request("demo", "hidden"), opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if lock.Builds[0].DebugSource != elfinfo.DebugNone || !strings.Contains(log.String(), "minidebuginfo that cannot be used") {
			t.Errorf("%s: source %s\n%s", name, lock.Builds[0].DebugSource, log.String())
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func packedMini(t testing.TB, data []byte) []byte {
	t.Helper()
	cmd := exec.Command("xz", "-c")
	cmd.Stdin = bytes.NewReader(data)
	packed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// addSection is an ELF file with a section more.
func addSection(t testing.TB, file []byte, name string, content []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	from, section := filepath.Join(dir, "file"), filepath.Join(dir, "section")
	for name, data := range map[string][]byte{from: file, section: content} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "objcopy", "--add-section", name+"="+section, from)
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever is in a .gnu_debugdata, it only has to come back.
func FuzzMiniDebugInfo(f *testing.F) {
	need(f, "xz")
	c := compile(f, "1.9")
	seeds := [][]byte{packedMini(f, c.debug), packedMini(f, []byte("no ELF file")), {}, []byte("\xfd7zXZ\x00")}
	for _, s := range seeds {
		f.Add(s)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		data, err := unpackMini(packed)
		if err != nil {
			return
		}
		if len(data) > maxMini {
			t.Errorf("%d bytes", len(data))
		}
		lib, err := elfinfo.NewFile("lib", bytes.NewReader(c.lib), int64(len(c.lib)))
		if err != nil {
			t.Fatal(err)
		}
		if mini, err := elfinfo.NewFile("mini", bytes.NewReader(data), int64(len(data))); err == nil && lib.CheckDebug(mini) == nil {
			if _, err := elfinfo.NewBuild(lib, mini, []string{"demo", "hidden"}); err != nil {
				t.Log(err)
			}
		}
	})
}
