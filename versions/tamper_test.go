package versions

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// refusals are what damaged metadata may be refused with.
var refusals = []error{ErrSignature, ErrUntrustedKey, ErrChecksum, ErrTruncated, ErrUnsafePath, ErrKeyChanged, ErrRollback, rpmmd.ErrFormat}

// Every byte of what stands above the packages, changed: refused, or the answer
// is the same and the byte is of the armor around the signature, or of those of
// a signature that it does not protect.
func TestEveryByteOfTheMetadata(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9", "1.10")
	l.index("--no-database") // less to change
	req := l.request("demo")
	req.Repositories[0].URL = l.repo
	ask := func() ([]string, error) {
		if err := os.RemoveAll(l.store); err != nil { // the cache would stand in for what is damaged
			t.Fatal(err)
		}
		builds, err := NewBuilds(ctx, req, l.options())
		return nevras(&Lock{Builds: builds}), err
	}
	want, err := ask()
	if err != nil || len(want) != 2 {
		t.Fatal(want, err)
	}
	primary, err := filepath.Glob(filepath.Join(l.repo, "repodata/*-primary.xml.gz"))
	if err != nil || len(primary) != 1 {
		t.Fatal(primary, err)
	}
	for _, tt := range []struct {
		name     string
		harmless bool // some bytes may be without effect
	}{
		{name: filepath.Join(l.repo, "repodata/repomd.xml")},
		{name: primary[0]},
		{name: filepath.Join(l.repo, "repodata/repomd.xml.asc"), harmless: true},
	} {
		good := l.read(tt.name)
		same := 0
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			l.writeTo(tt.name, bad)
			got, err := ask()
			switch {
			case err == nil && !slices.Equal(got, want):
				t.Fatalf("%s: byte %d changed and accepted: %v", filepath.Base(tt.name), i, got)
			case err == nil:
				same++
			case !slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) }):
				t.Fatalf("%s: byte %d: %v, which is no refusal", filepath.Base(tt.name), i, err)
			}
		}
		for _, n := range []int{0, 1, len(good) / 2, len(good) - 1} {
			l.writeTo(tt.name, good[:n])
			mayPass := tt.harmless && n == len(good)-1 // the armor's last line
			if got, err := ask(); err == nil && !mayPass {
				t.Errorf("%s: cut to %d of %d bytes and accepted: %v", filepath.Base(tt.name), n, len(good), got)
			}
		}
		l.writeTo(tt.name, good)
		t.Logf("%s: %d bytes, %d without effect", filepath.Base(tt.name), len(good), same)
		if same > 0 && !tt.harmless || same > len(good)/3 {
			t.Errorf("%s: %d of %d bytes without effect", filepath.Base(tt.name), same, len(good))
		}
	}
}
