package versions

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"

	"github.com/lpbuild/lpbuild/elfinfo"
)

var ctx = context.Background()

func nevras(lock *Lock) (out []string) {
	for _, b := range lock.Builds {
		out = append(out, b.NEVRA)
	}
	return out
}

func TestDownload(t *testing.T) {
	l := newLab(t, "1.10", "1.9")
	lock := l.download("demo", "hidden", "secret", "nowhere")
	if got, want := nevras(lock), []string{"demo-1.9-1.x86_64", "demo-1.10-1.x86_64"}; !slices.Equal(got, want) {
		t.Fatalf("locked %v, want %v", got, want)
	}
	if n := l.packageRequests(); n != 4 {
		t.Errorf("%d package requests, want 4", n)
	}
	read, err := ReadLock(l.project)
	if err != nil || len(read.Builds) != 2 || read.Builds[0].NEVRA != lock.Builds[0].NEVRA {
		t.Errorf("lock as read: %+v, %v", read, err)
	}
	records, err := ReadRecords(l.project)
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, b := range records {
		checkRecord(t, l, b, lock.Builds[i])
	}
}

func checkRecord(t *testing.T, l *lab, b *elfinfo.Build, locked Locked) {
	t.Helper()
	version := strings.TrimSuffix(strings.TrimPrefix(b.NEVRA, "demo-"), "-1.x86_64")
	c := compile(t, version)
	if string(b.BuildID) != c.buildID || b.Soname != "libdemo.so.1" || b.Library != "/lib64/libdemo.so.1" {
		t.Errorf("%s: %s %s %s", b.NEVRA, b.BuildID, b.Soname, b.Library)
	}
	if f, err := b.Function("hidden"); err != nil || f.Prototype == "" {
		t.Errorf("%s: private function: %+v, %v", b.NEVRA, f, err)
	}
	if v, err := b.Variable("secret"); err != nil || v.Size != 4 {
		t.Errorf("%s: private variable: %+v, %v", b.NEVRA, v, err)
	}
	if _, err := b.Function("nowhere"); !errors.Is(err, elfinfo.ErrMissing) {
		t.Errorf("%s: nowhere: %v, want ErrMissing", b.NEVRA, err)
	}
	end := time.Date(2024, 5, 2, 23, 59, 59, 0, time.UTC)
	if b.EndOfSupport == nil || !b.EndOfSupport.Equal(end) || !locked.EndOfSupport.Equal(end) || locked.Supported(end.Add(1)) || !locked.Supported(end) {
		t.Errorf("%s: end of support %v, %v", b.NEVRA, b.EndOfSupport, locked.EndOfSupport)
	}
	store, err := OpenStore(l.store)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := store.Library(b)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(lib); err != nil || string(data) != string(c.lib) {
		t.Errorf("%s: library in the store differs, %v", b.NEVRA, err)
	}
	dir, err := store.LibraryDir(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "other.txt")); err != nil {
		t.Errorf("%s: the package's other libraries are missing: %v", b.NEVRA, err)
	}
	if _, err := store.Loader(b); !errors.Is(err, ErrNotInStore) {
		t.Errorf("%s: loader: %v, want ErrNotInStore", b.NEVRA, err)
	}
}

func TestNewNameNeedsNoDownload(t *testing.T) {
	l := newLab(t, "1.9")
	l.download("demo")
	l.packageRequests()
	l.download("demo", "hidden@demo.c")
	if n := l.packageRequests(); n != 0 {
		t.Errorf("%d package requests", n)
	}
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records[0].Function("hidden"); err != nil {
		t.Error(err)
	}
}

// Whatever fails verification fails the run and leaves the project alone.
func TestDownloadRefuses(t *testing.T) {
	overwrite := func(l *lab, name string, change func([]byte) []byte) {
		name = filepath.Join(l.repo, name)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l.writeTo(name, change(b))
	}
	flipLast := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	const rpm, debugRPM = "demo-1.10-1.x86_64.rpm", "demo-debuginfo-1.10-1.x86_64.rpm"
	for _, tt := range []struct {
		name   string
		tamper func(l *lab)
		want   error
		locked error // if there is a lock already; want if nil
	}{
		{name: "payload changed", want: ErrChecksum, tamper: func(l *lab) { overwrite(l, rpm, flipLast) }},
		{name: "debug payload changed", want: ErrChecksum, tamper: func(l *lab) { overwrite(l, debugRPM, flipLast) }},
		{name: "payload changed and metadata made anew", want: ErrChecksum, tamper: func(l *lab) {
			overwrite(l, rpm, flipLast)
			l.index()
		}},
		{name: "truncated", want: ErrTruncated, tamper: func(l *lab) {
			overwrite(l, rpm, func(b []byte) []byte { return b[:len(b)/2] })
		}},
		{name: "unsigned package", want: ErrSignature, tamper: func(l *lab) {
			l.pkg("demo", "1.10", nil, libraryFiles(compile(t, "1.10"))...)
			l.index()
		}},
		{name: "package by another key", want: ErrUntrustedKey, tamper: func(l *lab) {
			l.pkg("demo", "1.10", newKey(t), libraryFiles(compile(t, "1.10"))...)
			l.index()
		}},
		{name: "metadata by another key", want: ErrUntrustedKey, locked: ErrUntrustedKey, tamper: func(l *lab) {
			l.signer = newKey(t)
			l.index()
		}},
		{name: "other keys", want: ErrUntrustedKey, locked: ErrKeyChanged, tamper: func(l *lab) { l.trust(newKey(t)) }},
		{name: "metadata changed", want: ErrSignature, tamper: func(l *lab) {
			overwrite(l, "repodata/repomd.xml", func(b []byte) []byte { return append(b, '\n') })
		}},
		{name: "payload leaves", want: ErrUnsafePath, tamper: func(l *lab) {
			l.pkg("demo", "1.10", l.key, append(libraryFiles(compile(t, "1.10")),
				rpmpack.RPMFile{Name: "/lib64/evil", Mode: 0o120777, Body: []byte("../../../../../../etc/passwd")})...)
			l.index()
		}},
		{name: "another package under the name", want: ErrChecksum, tamper: func(l *lab) {
			overwrite(l, rpm, func([]byte) []byte {
				b, err := os.ReadFile(filepath.Join(l.repo, "demo-1.9-1.x86_64.rpm"))
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		}},
	} {
		for _, before := range []string{"fresh", "locked"} {
			t.Run(tt.name+"/"+before, func(t *testing.T) {
				l := newLab(t, "1.9", "1.10")
				if before == "locked" {
					l.download()
					l.store = t.TempDir()
				}
				want := tt.want
				if before == "locked" && tt.locked != nil {
					want = tt.locked
				}
				tt.tamper(l)
				was := l.snapshot()
				lock, err := Download(ctx, l.request("demo"), l.options())
				if !errors.Is(err, want) || lock != nil {
					t.Fatalf("%v, %v; want %v", lock, err, want)
				}
				if !maps.Equal(was, l.snapshot()) {
					t.Error("the project changed")
				}
			})
		}
	}
}

func TestShippedIsShipped(t *testing.T) {
	l := newLab(t, "1.9", "1.10")
	l.download("demo")
	for _, name := range []string{"demo-1.9-1.x86_64.rpm", "demo-debuginfo-1.9-1.x86_64.rpm"} {
		if err := os.Remove(filepath.Join(l.repo, name)); err != nil {
			t.Fatal(err)
		}
	}
	l.index()
	lock := l.download("demo")
	if len(lock.Builds) != 2 || !lock.Builds[0].Removed || lock.Builds[1].Removed {
		t.Fatalf("nothing else changed: %+v", lock.Builds)
	}
	lock = l.download("demo", "hidden")
	if len(lock.Builds) != 2 || !lock.Builds[0].Removed || lock.Builds[1].Removed {
		t.Fatalf("%+v", lock.Builds)
	}
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records[0].Function("hidden"); err != nil {
		t.Errorf("a new name in a removed build, from the store: %v", err)
	}
	l.store = t.TempDir()
	lock, err = Download(ctx, l.request("demo", "hidden", "another"), l.options())
	if !errors.Is(err, ErrSomeFailed) || !errors.Is(err, ErrNotInStore) || lock == nil || len(lock.Builds) != 2 {
		t.Fatalf("%v, %v; want the lock, ErrSomeFailed and ErrNotInStore", lock, err)
	}
	if records, err = ReadRecords(l.project); err != nil || len(records) != 2 {
		t.Errorf("%d records, %v", len(records), err)
	}
	l.addVersion("1.9")
	l.index()
	for _, b := range l.download("demo").Builds {
		if b.Removed && b.RPMSHA256 != lock.Builds[0].RPMSHA256 {
			t.Errorf("back in the repository: %+v", b)
		}
	}
}

func TestNewBuilds(t *testing.T) {
	l := newLab(t, "1.9")
	list := func() (out []string) {
		builds, err := NewBuilds(ctx, l.request(), l.options())
		if err != nil {
			t.Fatal(err)
		}
		return nevras(&Lock{Builds: builds})
	}
	if got := list(); !slices.Equal(got, []string{"demo-1.9-1.x86_64"}) {
		t.Errorf("without a lock: %v", got)
	}
	l.download()
	if got := list(); len(got) != 0 {
		t.Errorf("after download: %v", got)
	}
	l.addVersion("1.10")
	l.index()
	l.packageRequests()
	if got := list(); !slices.Equal(got, []string{"demo-1.10-1.x86_64"}) {
		t.Errorf("after a release: %v", got)
	}
	if n := l.packageRequests(); n != 0 {
		t.Errorf("%d package requests", n)
	}
}

func TestOneVersionFails(t *testing.T) {
	l := newLab(t, "1.9")
	l.pkg("demo", "1.8", l.key, rpmpack.RPMFile{Name: "/lib64/another.so", Mode: 0o755, Body: []byte("x")})
	l.pkg("demo", "1.7", l.key, rpmpack.RPMFile{Name: "/lib64/libdemo.so.1", Mode: 0o755, Body: []byte("not ELF")})
	l.index()
	lock, err := Download(ctx, l.request("demo"), l.options())
	if !errors.Is(err, ErrSomeFailed) || !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "demo-1.7-1") {
		t.Errorf("error %v", err)
	}
	if lock == nil || !slices.Equal(nevras(lock), []string{"demo-1.9-1.x86_64"}) {
		t.Errorf("lock %+v", lock)
	}
}

func TestSeveralBuildsOfOneNEVRA(t *testing.T) {
	l := newLab(t)
	base, v3 := compile(t, "1.9"), compile(t, "1.9003")
	l.pkg("demo", "1.9", l.key, append(libraryFiles(base),
		rpmpack.RPMFile{Name: "/lib64/glibc-hwcaps/x86-64-v3/libdemo.so.1", Mode: 0o755, Body: v3.lib})...)
	l.pkg("demo-debuginfo", "1.9", l.key, append(debugFiles(base),
		rpmpack.RPMFile{Name: "/usr/lib/debug/.build-id/" + v3.buildID[:2] + "/" + v3.buildID[2:] + ".debug", Mode: 0o644, Body: v3.debug})...)
	l.index()
	lock := l.download("hidden")
	if len(lock.Builds) != 2 || lock.Builds[0].BuildID == lock.Builds[1].BuildID || lock.Builds[0].Record == lock.Builds[1].Record {
		t.Fatalf("%+v", lock.Builds)
	}
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	store, err := OpenStore(l.store)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, b := range records {
		if _, err := b.Function("hidden"); err != nil {
			t.Error(err)
		}
		dir, err := store.LibraryDir(b)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	if dirs[0] != dirs[1] || filepath.Base(dirs[0]) != "lib64" {
		t.Errorf("library folders %v, want the one with ld.so twice", dirs)
	}
}

// A soname becomes part of a file name.
func TestHostileSoname(t *testing.T) {
	need(t, "gcc")
	l := newLab(t)
	dir := t.TempDir()
	l.writeTo(filepath.Join(dir, "x.c"), []byte("int demo(void) { return 1; }"))
	run(t, "gcc", "-shared", "-fPIC", "-Wl,-soname,../../evil", "-Wl,--build-id", "-o", filepath.Join(dir, "x.so"), filepath.Join(dir, "x.c"))
	lib, err := os.ReadFile(filepath.Join(dir, "x.so"))
	if err != nil {
		t.Fatal(err)
	}
	l.pkg("demo", "1.9", l.key, rpmpack.RPMFile{Name: "/lib64/libdemo.so.1", Mode: 0o755, Body: lib})
	l.index()
	was := l.snapshot()
	if lock, err := Download(ctx, l.request("demo"), l.options()); err == nil || lock != nil {
		t.Errorf("%v, %v", lock, err)
	}
	if !maps.Equal(was, l.snapshot()) {
		t.Error("the project changed")
	}
}

// The package must be the one that the metadata describes.
func TestPackageUnderAnotherName(t *testing.T) {
	l := newLab(t, "1.9")
	d, err := newDownloader(l.request(), l.options())
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.catalogue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	o := c.versions[0].offer
	if rpm, err := d.open(ctx, o, silent{}); err != nil {
		t.Fatal(err)
	} else {
		rpm.Close()
	}
	o.pkg.NEVRA.Version = "1.8"
	if _, err := d.open(ctx, o, silent{}); !errors.Is(err, ErrChecksum) {
		t.Errorf("error %v, want ErrChecksum", err)
	}
}

type onStart func(string)

func (f onStart) Start(task string, _ int64) Task { f(task); return silent{} }

func TestNoVersions(t *testing.T) {
	l := newLab(t, "1.9")
	req := l.request()
	req.Packages = []string{"absent"}
	if _, err := Download(ctx, req, l.options()); !errors.Is(err, ErrNoVersions) {
		t.Errorf("error %v", err)
	}
}

func TestCancelled(t *testing.T) {
	l := newLab(t, "1.9", "1.10")
	was := l.snapshot()
	ctx, cancel := context.WithCancel(ctx)
	opts := l.options()
	opts.Progress = onStart(func(task string) {
		if strings.HasPrefix(task, "demo-") {
			cancel()
		}
	})
	if _, err := Download(ctx, l.request("demo"), opts); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if !maps.Equal(was, l.snapshot()) {
		t.Error("the project changed")
	}
}
