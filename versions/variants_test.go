package versions

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// shippedAt are the files of a build of libdemo at a path, and of its debug symbols.
func shippedAt(c compiled, name string) (files, debugs []rpmpack.RPMFile) {
	debugged := debugRoot + name + ".debug"
	link := path.Join(debugRoot, ".build-id", c.buildID[:2], c.buildID[2:]+".debug")
	return []rpmpack.RPMFile{{Name: name, Mode: 0o755, Body: c.lib}},
		[]rpmpack.RPMFile{{Name: debugged, Mode: 0o644, Body: c.debug}, {Name: link, Mode: 0o120777, Body: []byte(debugged)}}
}

// One package with builds for several processors, of which some are there under two names: each build is recorded once,
// with its own code and its own debug symbols.
func TestEveryBuildOfAPackage(t *testing.T) {
	l := newLab(t)
	var files, debugs []rpmpack.RPMFile
	want := make(map[string]compiled)
	for i, dir := range []string{"", "glibc-hwcaps/x86-64-v2/", "glibc-hwcaps/x86-64-v3/", "glibc-hwcaps/x86-64-v4/"} {
		c := compile(t, fmt.Sprintf("2%d", i))
		name := "/usr/lib64/" + dir + "libdemo.so.1"
		f, d := shippedAt(c, name)
		files, debugs = append(files, f...), append(debugs, d...)
		want[name] = c
	}
	c := compile(t, "20")
	files = append(files,
		rpmpack.RPMFile{Name: "/usr/lib64/libdemo.so", Mode: 0o120777, Body: []byte("libdemo.so.1")},
		rpmpack.RPMFile{Name: "/usr/lib64/libdemo.so.1.0", Mode: 0o755, Body: c.lib},
		rpmpack.RPMFile{Name: "/lib64/libdemo.so.1", Mode: 0o120777, Body: []byte("../usr/lib64/libdemo.so.1")},
	)
	l.pkg("demo", "1.0", l.key, files...)
	l.pkg("demo-debuginfo", "1.0", l.key, debugs...)
	l.index()
	req := l.request("demo", "hidden", "secret")
	req.Libraries = []string{"/lib64/libdemo.so.1", "/usr/lib64/libdemo.so*"}
	lock, err := Download(ctx, req, l.options())
	if err != nil {
		t.Fatal(err)
	}
	records, err := ReadRecords(l.project)
	if err != nil || len(records) != len(want) || len(lock.Builds) != len(want) {
		t.Fatalf("%d builds, %d records, want %d; %v", len(lock.Builds), len(records), len(want), err)
	}
	code := make(map[string]bool)
	for i, b := range records {
		at := path.Dir(b.Library) + "/libdemo.so.1"
		if at == "/lib64/libdemo.so.1" {
			at = "/usr" + at // the link
		}
		if string(b.BuildID) != want[at].buildID || b.DebugSource != elfinfo.DebugPackage || lock.Builds[i].Library != b.Library {
			t.Errorf("%s: build-id %s, debug symbols from %s; the lock has %s", b.Library, b.BuildID, b.DebugSource, lock.Builds[i].Library)
		}
		if _, err := b.Function("hidden"); err != nil {
			t.Error(err)
		}
		f, err := b.Function("demo")
		if err != nil {
			t.Fatal(err)
		}
		code[f.SHA256] = true
	}
	if len(code) != len(want) {
		t.Errorf("%d different functions in %d builds", len(code), len(want))
	}
	l.packageRequests()
	before := l.snapshot()
	if _, err := Download(ctx, req, l.options()); err != nil || different(before, l.snapshot()) != "" {
		t.Errorf("a second run changed %s, %v", different(before, l.snapshot()), err)
	}
}

// The package of the library was renamed, and the library moved below /usr: one project has both.
func TestRenamedPackageAndMovedLibrary(t *testing.T) {
	l := newLab(t)
	for _, v := range []struct{ pkg, version, dir string }{{"libdemo1", "1.0", "/lib64"}, {"libdemo-libs", "2.0", "/usr/lib64"}} {
		files, debugs := shippedAt(compile(t, strings.ReplaceAll(v.version, ".", "")), v.dir+"/libdemo.so.1")
		l.pkg(v.pkg, v.version, l.key, files...)
		l.pkg(v.pkg+"-debuginfo", v.version, l.key, debugs...)
	}
	l.pkg("other", "1.0", l.key, libraryFiles(compile(t, "1.9"))...)
	l.index()
	for _, pattern := range []string{"/lib64/libdemo.so.1", "/usr/lib64/libdemo.so.1"} {
		req := l.request("hidden")
		req.Packages, req.Libraries = []string{"libdemo1", "libdemo-libs"}, []string{pattern}
		req.ProjectDir = t.TempDir()
		l.project = req.ProjectDir
		l.trust(l.key)
		lock, err := Download(ctx, req, l.options())
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, b := range lock.Builds {
			have = append(have, b.NEVRA+" "+b.Library+" "+string(b.DebugSource))
		}
		slices.Sort(have)
		want := []string{"libdemo-libs-2.0-1.x86_64 /usr/lib64/libdemo.so.1 package", "libdemo1-1.0-1.x86_64 /lib64/libdemo.so.1 package"}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %v", pattern, have)
		}
		read, err := ReadLock(req.ProjectDir)
		if err != nil || !slices.Equal(read.Packages, Names{"libdemo1", "libdemo-libs"}) {
			t.Errorf("%v, %v", read, err)
		}
		// A record is made anew offline and when the packages have gone, each with its own debug symbols.
		for _, b := range lock.Builds {
			if err := removeRecord(req.ProjectDir, b); err != nil {
				t.Fatal(err)
			}
		}
		opts := l.options()
		opts.Offline = true
		again, err := Download(ctx, req, opts)
		if err != nil || len(again.Builds) != 2 || again.Builds[0].DebugSource != elfinfo.DebugPackage || again.Builds[1].DebugSource != elfinfo.DebugPackage {
			t.Errorf("offline: %+v, %v", again, err)
		}
	}
}

func removeRecord(project string, l Locked) error {
	return os.Remove(filepath.Join(project, RecordsDir, l.Record))
}
