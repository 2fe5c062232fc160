package versions

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// heard is a log that keeps its warnings.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (h *heard) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h *heard) WithGroup(string) slog.Handler                    { return h }

func (h *heard) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
	return nil
}

// hear is Download with its warnings that contain text.
func (l *lab) hear(req Request, text string) (*Lock, []string) {
	l.t.Helper()
	h := new(heard)
	opts := l.options()
	opts.Log = slog.New(h)
	lock, err := Download(ctx, req, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	return lock, slices.DeleteFunc(h.lines, func(s string) bool { return !strings.Contains(s, text) })
}

// beside is the request of l with the repository of second as well.
func (l *lab) beside(second *lab) Request {
	req := l.request("demo")
	req.Repositories = append(req.Repositories, Repository{Name: "second", URL: second.server.URL,
		Keys: []string{filepath.Join(second.project, "keys/lab.asc")}})
	return req
}

func TestOneNEVRATwoContents(t *testing.T) {
	t.Parallel()
	l, second := newLab(t, "1.9"), newLab(t)
	second.pkg("demo", "1.9", second.key, libraryFiles(compile(t, "1.9001"))...)
	second.pkg("demo-debuginfo", "1.9", second.key, debugFiles(compile(t, "1.9001"))...)
	second.index()
	lock, warnings := l.hear(l.beside(second), "two packages of one name")
	if len(lock.Builds) != 2 || lock.Builds[0].NEVRA != lock.Builds[1].NEVRA || lock.Builds[0].BuildID == lock.Builds[1].BuildID ||
		lock.Builds[0].Record == lock.Builds[1].Record {
		t.Fatalf("%+v", lock.Builds)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "demo-1.9-1.x86_64") || !strings.Contains(warnings[0], "(lab)") || !strings.Contains(warnings[0], "(second)") {
		t.Errorf("warnings %q", warnings)
	}
	for _, b := range lock.Builds {
		if b.DebugRPMSHA256 == "" || b.SignedBy == "" {
			t.Errorf("%+v", b)
		}
	}
	if records, err := ReadRecords(l.project); err != nil || len(records) != 2 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

// A live patch finds its processes by build-id: with two files of one build-id
// it would be made for one and applied to the other.
func TestOneBuildIDTwoContents(t *testing.T) {
	t.Parallel()
	twin := compile(t, "1.10")
	own := compile(t, "1.9")
	raw := func(id string) []byte { b, _ := hex.DecodeString(id); return b }
	twin.lib = bytes.Replace(twin.lib, raw(twin.buildID), raw(own.buildID), 1)
	for _, locked := range []bool{false, true} {
		t.Run(fmt.Sprintf("locked %v", locked), func(t *testing.T) {
			l := newLab(t, "1.9")
			if locked {
				l.download("demo")
			}
			l.pkg("demo", "1.10", l.key, libraryFiles(twin)...)
			l.index()
			was := l.snapshot()
			_, err := Download(ctx, l.request("demo"), l.options())
			if !errors.Is(err, ErrBuildIDTwice) {
				t.Fatalf("%v, want ErrBuildIDTwice", err)
			}
			for _, text := range []string{own.buildID, "demo-1.9-1.x86_64", "demo-1.10-1.x86_64"} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%v does not say %s", err, text)
				}
			}
			if !maps.Equal(was, l.snapshot()) {
				t.Error("the project changed")
			}
		})
	}
}

// That a build has left is said once, not in every nightly run.
func TestDroppedBuildIsSaidOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9", "1.10")
	l.download("demo")
	if err := os.Remove(filepath.Join(l.repo, "demo-1.9-1.x86_64.rpm")); err != nil {
		t.Fatal(err)
	}
	l.index()
	for run, want := range []int{1, 0} {
		lock, warnings := l.hear(l.request("demo"), "left the repositories")
		if len(warnings) != want || !lock.Builds[0].Removed || lock.Builds[1].Removed {
			t.Errorf("run %d: %q, %+v", run, warnings, lock.Builds)
		}
	}
}

// lie changes primary.xml, and makes repomd.xml agree and signs it: the vendor's
// own metadata says of packages what they are not.
func (l *lab) lie(change func(primary string) string) {
	l.t.Helper()
	names, err := filepath.Glob(filepath.Join(l.repo, "repodata", "*-primary.xml.gz"))
	if err != nil || len(names) != 1 {
		l.t.Fatalf("%v, %v", names, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(l.read(names[0])))
	if err != nil {
		l.t.Fatal(err)
	}
	open, err := io.ReadAll(z)
	if err != nil {
		l.t.Fatal(err)
	}
	lied := change(string(open))
	if lied == string(open) {
		l.t.Fatal("nothing changed in primary.xml")
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprint(w, lied)
	w.Close()
	l.writeTo(names[0], packed.Bytes())
	repomd := filepath.Join(l.repo, "repodata", "repomd.xml")
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	old := regexp.MustCompile(`(?s)(<data type="primary">).*?(<location.*?</data>)`)
	l.writeTo(repomd, old.ReplaceAll(l.read(repomd), fmt.Appendf(nil,
		"$1<checksum type=\"sha256\">%s</checksum><open-checksum type=\"sha256\">%s</open-checksum>$2", sum(packed.Bytes()), sum([]byte(lied)))))
	l.writeTo(repomd, regexp.MustCompile(`(?s)(<data type="primary">.*?)<size>\d+</size>\s*<open-size>\d+</open-size>`).ReplaceAll(l.read(repomd), []byte("$1")))
	l.signMetadata()
}

func (l *lab) read(name string) []byte {
	l.t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// What the metadata says of a package must be what the package says.
func TestMetadataThatLies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		from, to string // a regular expression and what takes its place
		want     error
	}{
		"name":         {`<name>demo-tools</name>`, `<name>demo</name>`, ErrChecksum},
		"epoch":        {`epoch="0" ver="1.9"`, `epoch="7" ver="1.9"`, ErrChecksum},
		"version":      {`ver="1.9"`, `ver="1.99"`, ErrChecksum},
		"release":      {`ver="1.9" rel="1"`, `ver="1.9" rel="2"`, ErrChecksum},
		"architecture": {`<arch>aarch64</arch>`, `<arch>x86_64</arch>`, ErrChecksum},
		"build time":   {`build="1714521600"`, `build="1714521601"`, ErrChecksum},
		"size, less":   {`<size package="\d+"`, `<size package="100"`, ErrChecksum},
		"size, more":   {`<size package="\d+"`, `<size package="99999999"`, ErrTruncated},
		"digest":       {`pkgid="YES">`, `pkgid="YES">0000`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "1.9")
			l.pkg("demo-tools", "1.9", l.key, libraryFiles(compile(t, "1.10"))...)
			l.arch = "aarch64"
			l.pkg("demo", "1.8", l.key, libraryFiles(compile(t, "1.10"))...)
			l.index()
			l.lie(func(s string) string { return regexp.MustCompile(tt.from).ReplaceAllString(s, tt.to) })
			was := l.snapshot()
			lock, err := Download(ctx, l.request("demo"), l.options())
			if lock != nil || err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("%v, %v; want %v", lock, err, tt.want)
			}
			if !maps.Equal(was, l.snapshot()) {
				t.Error("the project changed")
			}
		})
	}
}

// A debuginfo package of another architecture is none of ours; one whose
// metadata says so all the same is refused.
func TestDebugPackageOfAnotherArch(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := compile(t, "1.9")
	l.pkg("demo", "1.9", l.key, libraryFiles(c)...)
	l.arch = "aarch64"
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(c)...)
	l.index()
	l.download("demo")
	if records, err := ReadRecords(l.project); err != nil || records[0].DebugRPMSHA256 != "" {
		t.Fatalf("%+v, %v", records, err)
	}
	l.lie(func(s string) string { return strings.Replace(s, "<arch>aarch64<", "<arch>x86_64<", 1) })
	if lock, err := Download(ctx, l.request("demo", "hidden"), l.options()); !errors.Is(err, ErrChecksum) || lock != nil {
		t.Errorf("%v, %v; want ErrChecksum", lock, err)
	}
}

// Debug symbols under the right name with the right build-id, but of another
// machine.
func TestDebugFileOfAnotherMachine(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := compile(t, "1.9")
	l.pkg("demo", "1.9", l.key, libraryFiles(c)...)
	c.debug = bytes.Clone(c.debug)
	c.debug[18] = 183 // e_machine: EM_AARCH64
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(c)...)
	l.index()
	if lock, err := Download(ctx, l.request("hidden"), l.options()); !errors.Is(err, elfinfo.ErrMachine) || lock != nil {
		t.Errorf("%v, %v; want ErrMachine", lock, err)
	}
}
