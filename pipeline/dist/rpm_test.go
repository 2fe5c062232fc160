package dist

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// queries are what must be the same in both RPMs.
var queries = []struct{ name, format string }{
	{"identity", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH} %{OS} %{EPOCH}\n%{SUMMARY}\n%{DESCRIPTION}\n%{LICENSE}\n%{URL}\n%{ENCODING}\n%{BUILDHOST}\n%{SOURCERPM}\n"},
	{"files", "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEDIGESTS} %{FILEFLAGS:fflags} %{FILELINKTOS}\n]"},
	{"requires", "[%{REQUIRENAME} %{REQUIREFLAGS:depflags} %{REQUIREVERSION} %{REQUIREFLAGS:deptype}\n]"},
	{"provides", "[%{PROVIDENAME} %{PROVIDEFLAGS:depflags} %{PROVIDEVERSION}\n]"},
	{"conflicts", "[%{CONFLICTNAME} %{CONFLICTFLAGS:depflags} %{CONFLICTVERSION}\n]"},
	{"changelog", "[%{CHANGELOGTIME:day} %{CHANGELOGNAME}\n%{CHANGELOGTEXT}\n]"},
	{"scriptlets", "%{POSTIN}|%{POSTINPROG}|%{POSTTRANS}|%{POSTTRANSPROG}|%{PREUN}|%{PREUNPROG}|%{POSTUN}|%{POSTUNPROG}|%{PREIN}|%{PRETRANS}\n"},
}

// rpmlib lines differ: the two ways use different features of RPM's payload.
func withoutRPMLib(s string) string {
	var keep []string
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "rpmlib(") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "")
}

func TestBothWaysGiveTheSamePackage(t *testing.T) {
	t.Parallel()
	need(t, "rpmbuild", "rpm", "gcc")
	p := project(t, "0.2")
	p.Requires = []string{"glibc >= 2.31"}
	built, direct := rpmbuild(t, p, t.TempDir()), buildRPM(t, p)
	if filepath.Base(built) != filepath.Base(direct) {
		t.Errorf("names %s and %s", built, direct)
	}
	for _, q := range queries {
		want := output(t, "rpm", "-qp", "--qf", q.format, built)
		got := output(t, "rpm", "-qp", "--qf", q.format, direct)
		if diff := cmp.Diff(withoutRPMLib(want), withoutRPMLib(got)); diff != "" {
			t.Errorf("%s differ (-rpmbuild +direct):\n%s", q.name, diff)
		}
	}
	if diff := cmp.Diff(output(t, "rpm", "-qp", "--scripts", built), output(t, "rpm", "-qp", "--scripts", direct)); diff != "" {
		t.Errorf("--scripts differ (-rpmbuild +direct):\n%s", diff)
	}
	names := output(t, "rpm", "-qpl", direct)
	if !strings.Contains(names, "/usr/lib64/"+setName+"/set.json\n") || strings.Count(names, ".so\n") != 2 || strings.Contains(names, ".build-id") {
		t.Errorf("files:\n%s", names)
	}
	for _, text := range []string{"CVE-2026-12345, bsc#1200316", "Security Team"} {
		if log := output(t, "rpm", "-qp", "--changelog", built); !strings.Contains(log, text) {
			t.Errorf("change log without %q:\n%s", text, log)
		}
	}
}

// The metadata sections survive because nothing touches the containers at all.
func TestContainersComeOutByteForByte(t *testing.T) {
	t.Parallel()
	need(t, "rpmbuild", "rpm2cpio", "cpio", "gcc")
	p := project(t, "0.2")
	for name, rpm := range map[string]string{"rpmbuild": rpmbuild(t, p, t.TempDir()), "direct": buildRPM(t, p)} {
		dir := t.TempDir()
		// Whoever forgets --no-absolute-filenames must not write into /usr.
		for entry := range strings.Lines(output(t, "sh", "-c", `rpm2cpio "$1" | cpio -t --quiet`, "sh", rpm)) {
			if !strings.HasPrefix(entry, "./usr/lib64/") {
				t.Errorf("%s: payload holds %s", name, entry)
			}
		}
		cmd := command(t.Context(), "sh", "-c", `rpm2cpio "$1" | cpio -id --quiet --no-absolute-filenames`, "sh", rpm)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s: %v %s", name, err, out)
		}
		made, err := os.ReadDir(filepath.Join(p.ProjectDir, "build"))
		if err != nil || len(made) != 3 {
			t.Fatalf("build holds %v, %v", made, err)
		}
		for _, e := range made {
			want := readFile(t, filepath.Join(p.ProjectDir, "build", e.Name()))
			if got := readFile(t, filepath.Join(dir, "usr/lib64", setName, e.Name())); !bytes.Equal(got, want) {
				t.Errorf("%s: %s changed: %d bytes, were %d", name, e.Name(), len(got), len(want))
			}
		}
	}
}

func TestRebuiltRPMIsTheSame(t *testing.T) {
	t.Parallel()
	need(t, "gcc")
	for _, compress := range []string{"xz", "zstd"} {
		var first []byte
		for range 2 {
			p := project(t, "0.2") // in another folder
			p.Compress = compress
			b := readFile(t, buildRPM(t, p))
			if first != nil && !bytes.Equal(first, b) {
				t.Errorf("%s: two builds differ", compress)
			}
			first = b
		}
	}
}

// As long as it happens in the same folder, since a source RPM holds its path
// and every binary RPM the digest of that.
func TestRebuiltByRpmbuildIsTheSame(t *testing.T) {
	t.Parallel()
	need(t, "rpmbuild", "gcc")
	top := t.TempDir()
	first := readFile(t, rpmbuild(t, project(t, "0.2"), top))
	if err := os.RemoveAll(filepath.Join(top, "SOURCES")); err != nil {
		t.Fatal(err)
	}
	again := project(t, "0.2")
	made, err := filepath.Glob(filepath.Join(again.ProjectDir, "build", "*"))
	if err != nil || len(made) != 3 {
		t.Fatalf("build holds %v, %v", made, err)
	}
	for _, name := range made {
		if err := os.Chtimes(name, time.Time{}, again.Time.AddDate(0, 1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if second := readFile(t, rpmbuild(t, again, top)); !bytes.Equal(first, second) {
		t.Error("two builds differ")
	}
}

func TestRPMDigestsAndPayload(t *testing.T) {
	t.Parallel()
	need(t, "rpm", "gcc")
	for _, compress := range []string{"xz", "zstd"} {
		p := project(t, "1.0~rc1^git2")
		p.Compress = compress
		name := buildRPM(t, p)
		if out := output(t, "rpm", "-K", name); !strings.Contains(out, "digests OK") {
			t.Errorf("rpm -K: %s", out)
		}
		if got := output(t, "rpm", "-qp", "--qf", "%{PAYLOADCOMPRESSOR}", name); got != compress {
			t.Errorf("payload is %s, want %s", got, compress)
		}
		requires := output(t, "rpm", "-qp", "--requires", name)
		payload := map[string]string{"xz": "rpmlib(PayloadIsXz) <= 5.2-1", "zstd": "rpmlib(PayloadIsZstd) <= 5.4.18-1"}[compress]
		for _, want := range []string{payload, "rpmlib(FileDigests) <= 4.6.0-1", "rpmlib(TildeInVersions) <= 4.10.0-1", "rpmlib(CaretInVersions) <= 4.15.0-1", "lpbuild-runtime", "/bin/sh"} {
			if !strings.Contains(requires, want+"\n") {
				t.Errorf("%s: no requirement %s:\n%s", compress, want, requires)
			}
		}
	}
}

func TestRPMRefuses(t *testing.T) {
	t.Parallel()
	need(t, "gcc")
	tests := []struct {
		name   string
		change func(t *testing.T, p *Package)
		want   error
		text   string
	}{
		{name: "nothing made", want: ErrNotMade, change: func(t *testing.T, p *Package) {
			os.Remove(filepath.Join(p.ProjectDir, "build/set.json"))
		}},
		{name: "made for another version", want: ErrNotMade, text: "0.2", change: func(_ *testing.T, p *Package) { p.Version = "0.3" }},
		{name: "unknown build", want: ErrContainer, text: idB, change: func(_ *testing.T, p *Package) { p.BuildIDs = p.BuildIDs[:1] }},
		{name: "container changed", want: ErrContainer, text: "SHA-256", change: func(t *testing.T, p *Package) {
			name := filepath.Join(p.ProjectDir, "build", "value_libtarget1-1.0-1.x86_64_libtarget.so.1_11111111.so")
			write(t, name, readFile(t, name)[1:])
		}},
		{name: "name", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Name = "a b" }},
		{name: "version with a dash", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Version = "1-2" }},
		{name: "summary of two lines", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Summary = "a\n%post" }},
		{name: "section in the description", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Description = "a\n%post\nrm -rf /" }},
		{name: "requirement", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Requires = []string{"a => 1"} }},
		{name: "compression", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Compress = "lz4" }},
		{name: "no time", want: ErrPackage, change: func(_ *testing.T, p *Package) { p.Time = time.Time{} }},
		{name: "cancelled", want: context.Canceled, change: func(*testing.T, *Package) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := project(t, "0.2")
			tt.change(t, &p)
			ctx, cancel := context.WithCancel(t.Context())
			if tt.want == context.Canceled {
				cancel()
			}
			defer cancel()
			_, err := RPM(ctx, p)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
			if left, err := os.ReadDir(filepath.Join(p.ProjectDir, "dist")); err == nil && len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestWriteManifestRefuses(t *testing.T) {
	t.Parallel()
	need(t, "gcc")
	p := project(t, "0.2")
	dir := filepath.Join(p.ProjectDir, "build")
	write(t, filepath.Join(dir, "stale.so"), container(t, setName, "0.1", idA))
	if err := WriteManifest(dir, setName, "0.2", nil); !errors.Is(err, ErrContainer) || !strings.Contains(err.Error(), "stale.so") {
		t.Errorf("a container of another version: %v", err)
	}
	if err := WriteManifest(dir, setName, "0.2", []string{"value_libtarget1-1.0-1.x86_64_libtarget.so.1_11111111.so"}); err != nil {
		t.Errorf("with the stale container left out: %v", err)
	}
	if err := WriteManifest(dir, setName, "0.2", []string{}); !errors.Is(err, ErrNotMade) {
		t.Errorf("no containers: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "set.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old manifest: %v", err)
	}
}
