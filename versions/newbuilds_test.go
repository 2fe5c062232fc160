package versions

import (
	"context"
	"errors"
	"testing"

	"github.com/google/rpmpack"
)

func (l *lab) newBuilds(opts Options) ([]string, error) {
	fresh, err := NewBuilds(context.Background(), l.request(), opts)
	var names []string
	for _, b := range fresh {
		names = append(names, b.NEVRA)
	}
	return names, err
}

// TestNewBuildsOfSeveralLibraries: exactly what download would add is new, with several libraries
// in a package too, and only metadata is fetched.
func TestNewBuildsOfSeveralLibraries(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := compile(t, "1.0")
	two := func(version string) []rpmpack.RPMFile {
		other := compile(t, version+".1")
		return append(libraryFiles(compile(t, version)), rpmpack.RPMFile{Name: "/lib64/libdemo-other.so.1", Mode: 0o755, Body: other.lib})
	}
	l.pkg("demo", "1.0", l.key, two("1.0")...)
	l.pkg("demo-debuginfo", "1.0", l.key, debugFiles(c)...)
	l.index()
	if got, err := l.newBuilds(l.options()); err != nil || len(got) != 1 {
		t.Errorf("before the first download: %v, %v", got, err)
	}
	req := l.request()
	req.Libraries = []string{"/lib64/libdemo*.so.1"}
	if lock, err := Download(context.Background(), req, l.options()); err != nil || len(lock.Builds) != 2 {
		t.Fatalf("%+v, %v", lock, err)
	}
	l.packageRequests()
	if got, err := l.newBuilds(l.options()); err != nil || len(got) != 0 {
		t.Errorf("after download: %v, %v", got, err)
	}
	l.pkg("demo", "2.0", l.key, two("2.0")...)
	l.pkg("demo", "1.0", l.key, libraryFiles(compile(t, "1.0.9"))...) // built again
	l.index()
	if got, err := l.newBuilds(l.options()); err != nil || len(got) != 2 || got[0] != "demo-1.0-1.x86_64" || got[1] != "demo-2.0-1.x86_64" {
		t.Errorf("after two builds more: %v, %v", got, err)
	}
	if n := l.packageRequests(); n != 0 {
		t.Errorf("%d packages were fetched", n)
	}
}

// TestNewBuildsOffline: what cannot be asked is no "nothing new".
func TestNewBuildsOffline(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.0")
	l.download()
	opts := l.options()
	opts.Offline = true
	if got, err := l.newBuilds(opts); !errors.Is(err, ErrOffline) {
		t.Errorf("%v, %v, want ErrOffline", got, err)
	}
}
