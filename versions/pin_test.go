package versions

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

func fingerprintOf(e *openpgp.Entity) string { return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) }

// trusts makes keys the content of the project's key file.
func (l *lab) trusts(keys ...*openpgp.Entity) {
	l.t.Helper()
	var b bytes.Buffer
	for _, e := range keys {
		w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := e.Serialize(w); err != nil {
			l.t.Fatal(err)
		}
		w.Close()
		b.WriteByte('\n')
	}
	l.writeTo(filepath.Join(l.project, "keys", "lab.asc"), b.Bytes())
}

// indexAt makes metadata of that revision, which is the time of its files too.
func (l *lab) indexAt(revision int) {
	l.t.Helper()
	l.index("--revision", fmt.Sprint(revision), "--set-timestamp-to-revision")
}

// accept is Download with options that accept.
func (l *lab) accept(keys, older []string) (*Lock, error) {
	opts := l.options()
	opts.AcceptKeys, opts.AcceptOlder = keys, older
	return Download(ctx, l.request("demo"), opts)
}

// refuses wants Download, and the look for new builds, to end in want, with
// every text in the message, and the project as it was.
func (l *lab) refuses(want error, texts ...string) {
	l.t.Helper()
	before := l.snapshot()
	lock, err := Download(ctx, l.request("demo"), l.options())
	if !errors.Is(err, want) || lock != nil {
		l.t.Fatalf("%v, %v; want %v", lock, err, want)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			l.t.Errorf("%v does not say %q", err, text)
		}
	}
	if _, err := NewBuilds(ctx, l.request("demo"), l.options()); !errors.Is(err, want) {
		l.t.Errorf("new builds: %v, want %v", err, want)
	}
	if !maps.Equal(before, l.snapshot()) {
		l.t.Error("the project changed")
	}
}

func TestLockPins(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.indexAt(1000)
	lock := l.download("demo")
	made := time.Unix(1000, 0).UTC()
	want := Pin{Name: "lab", Keys: []string{fingerprintOf(l.key)}, SignedBy: fingerprintOf(l.key), Revision: "1000", Time: &made}
	read, err := ReadLock(l.project)
	if err != nil {
		t.Fatal(err)
	}
	for _, pins := range [][]Pin{lock.Repositories, read.Repositories} {
		if diff := cmp.Diff([]Pin{want}, pins); diff != "" {
			t.Error(diff)
		}
	}
	for _, b := range read.Builds {
		if b.SignedBy != fingerprintOf(l.key) || b.DebugSignedBy != fingerprintOf(l.key) {
			t.Errorf("signed by %q, %q", b.SignedBy, b.DebugSignedBy)
		}
	}
}

// Somebody put another key in the place of the one that was reviewed.
func TestSwappedKeyFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.download("demo")
	old, fresh := l.key, newKey(t)
	l.trusts(fresh)
	l.signer = fresh
	l.index()
	l.packageRequests()
	l.refuses(ErrKeyChanged, "repository lab", fingerprintOf(old), fingerprintOf(fresh), "lab <lab@example.org>")
	if len(l.got) != 0 {
		t.Errorf("asked the repository all the same: %v", l.got)
	}
}

// A vendor announces a key, signs with both and then with the new one alone.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.download("demo")
	old, fresh := l.key, newKey(t)
	l.trusts(old, fresh)
	l.refuses(ErrKeyChanged, "new: "+fingerprintOf(fresh), "pinned and there: "+fingerprintOf(old))
	f := fingerprintOf(fresh)
	spaced := strings.ToLower(f[:20] + " " + f[20:])
	lock, err := l.accept([]string{spaced}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := lock.Repositories[0]; len(p.Keys) != 2 || p.SignedBy != fingerprintOf(old) || !slices.Equal(p.Signers, []string{f}) {
		t.Errorf("%+v", p)
	}
	l.key = fresh
	l.addVersion("1.10")
	l.index()
	lock = l.download("demo")
	if p := lock.Repositories[0]; p.SignedBy != f || !slices.Equal(p.Signers, []string{fingerprintOf(old)}) {
		t.Errorf("%+v", p)
	}
	if a, b := lock.Builds[0].SignedBy, lock.Builds[1].SignedBy; a != fingerprintOf(old) || b != f {
		t.Errorf("packages signed by %s and %s", a, b)
	}
	l.trusts(fresh)
	// What shipped is signed by the old key: it has to stay.
	if _, err := Download(ctx, l.request("demo"), l.options()); !errors.Is(err, ErrUntrustedKey) || !strings.Contains(err.Error(), fmt.Sprintf("%016X", old.PrimaryKey.KeyId)) {
		t.Errorf("without the old key: %v, want ErrUntrustedKey and its id", err)
	}
}

// The keys are the same, but another of them signs: that of another repository,
// or one that was stolen.
func TestAnotherSigner(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	second := newKey(t)
	l.trusts(l.key, second)
	l.download("demo")
	l.signer = second
	l.index()
	l.refuses(ErrKeyChanged, "repository lab", "signed by "+fingerprintOf(second), fingerprintOf(l.key))
	lock, err := l.accept([]string{fingerprintOf(second)}, nil)
	if err != nil || lock.Repositories[0].SignedBy != fingerprintOf(second) {
		t.Fatalf("%+v, %v", lock, err)
	}
	l.signer = l.key
	l.index()
	l.download("demo") // it signed before
}

// A key that nobody has put into keys/ never counts, whatever the flags.
func TestStrangerSigns(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.download("demo")
	l.signer = newKey(t)
	l.index()
	l.refuses(ErrUntrustedKey, "repository lab", fingerprintOf(l.signer), "signed by "+fingerprintOf(l.key))
	if _, err := l.accept([]string{fingerprintOf(l.signer)}, []string{"lab"}); !errors.Is(err, ErrUntrustedKey) {
		t.Errorf("accepted by a flag alone: %v", err)
	}
}

// A key less only narrows the trust.
func TestKeyTakenAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.trusts(l.key, newKey(t))
	l.download("demo")
	l.trusts(l.key)
	if p := l.download("demo").Repositories[0]; !slices.Equal(p.Keys, []string{fingerprintOf(l.key)}) {
		t.Errorf("%+v", p)
	}
}

func TestNothingToAccept(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	was := l.snapshot()
	for _, keys := range []string{fingerprintOf(newKey(t)), fingerprintOf(l.key)[24:], "none", ""} {
		if _, err := l.accept([]string{keys}, nil); !errors.Is(err, ErrAccept) {
			t.Errorf("key %q: %v", keys, err)
		}
	}
	if _, err := l.accept(nil, []string{"lap"}); !errors.Is(err, ErrAccept) {
		t.Errorf("unknown repository: %v", err)
	}
	if !maps.Equal(was, l.snapshot()) {
		t.Error("the project changed")
	}
}

// Somebody serves metadata of yesterday, rightly signed, so that today's fixes
// are not seen.
func TestReplay(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.indexAt(1000)
	replay := filepath.Join(t.TempDir(), "repodata")
	if err := os.CopyFS(replay, os.DirFS(filepath.Join(l.repo, "repodata"))); err != nil {
		t.Fatal(err)
	}
	l.addVersion("1.10")
	l.indexAt(2000)
	l.download("demo")
	now := filepath.Join(l.repo, "repodata")
	if err := errors.Join(os.RemoveAll(now), os.Rename(replay, now)); err != nil {
		t.Fatal(err)
	}
	l.refuses(ErrRollback, "repository lab", "1970-01-01T00:16:40Z", "1970-01-01T00:33:20Z")
	lock, err := l.accept(nil, []string{"lab"})
	if err != nil {
		t.Fatal(err)
	}
	if len(lock.Builds) != 2 || lock.Builds[0].Removed || !lock.Builds[1].Removed || lock.Repositories[0].Revision != "1000" {
		t.Errorf("%+v", lock)
	}
	l.download("demo")
}

func TestAge(t *testing.T) {
	t.Parallel()
	at := func(sec int64) *time.Time { u := time.Unix(sec, 0).UTC(); return &u }
	for _, tt := range []struct {
		name     string
		last     Pin
		revision string
		time     int64 // 0: none
		older    bool
	}{
		{"the same", Pin{Time: at(5), Revision: "5"}, "5", 5, false},
		{"newer", Pin{Time: at(5), Revision: "5"}, "6", 6, false},
		{"older", Pin{Time: at(5), Revision: "5"}, "4", 4, true},
		{"newer with another way to count", Pin{Time: at(5), Revision: "1700000000"}, "7", 6, false},
		{"no times, revision back", Pin{Revision: "10"}, "9", 0, true},
		{"no times, revision on", Pin{Revision: "9"}, "10", 0, false},
		{"time lost, revision back", Pin{Time: at(5), Revision: "10"}, "9", 0, true},
		{"same time, revision back", Pin{Time: at(5), Revision: "10"}, "9", 5, true},
		{"revision is a word", Pin{Revision: "b"}, "a", 0, false},
	} {
		d := &downloader{}
		p := rpmmd.Provenance{Revision: tt.revision}
		if tt.time > 0 {
			p.Time = *at(tt.time)
		}
		if err := d.checkAge(&tt.last, p); errors.Is(err, ErrRollback) != tt.older {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A repository that was signed must not get away without, even where the
// project allows metadata that nobody signs.
func TestSignatureTakenAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	l.download("demo")
	if err := os.Remove(filepath.Join(l.repo, "repodata/repomd.xml.asc")); err != nil {
		t.Fatal(err)
	}
	l.refuses(ErrSignature, "repomd.xml.asc")
	req, opts := l.request("demo"), l.options()
	req.Repositories[0].UnsignedMetadata = true
	if lock, err := Download(ctx, req, opts); !errors.Is(err, ErrKeyChanged) || lock != nil || !strings.Contains(err.Error(), fingerprintOf(l.key)) {
		t.Fatalf("%v, %v; want ErrKeyChanged", lock, err)
	}
	opts.AcceptOlder = []string{"lab"}
	lock, err := Download(ctx, req, opts)
	if err != nil {
		t.Fatal(err)
	}
	want := []Layer{{Of: "repomd.xml", Proof: "not signed"}, {Of: "package", Proof: "SHA-256"}}
	if diff := cmp.Diff(want, lock.Builds[0].Layers[:2]); diff != "" || lock.Repositories[0].SignedBy != "" {
		t.Errorf("%s\n%+v", diff, lock.Repositories)
	}
	opts.AcceptOlder = nil
	if _, err := Download(ctx, req, opts); err != nil {
		t.Errorf("accepted once, and refused again: %v", err)
	}
	// A signature that comes back counts from then on.
	l.index()
	if p := l.download("demo").Repositories[0]; p.SignedBy != fingerprintOf(l.key) {
		t.Errorf("%+v", p)
	}
}
