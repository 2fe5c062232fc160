package dist

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func buildSource(t testing.TB, p Package) *SourceFiles {
	t.Helper()
	src, err := Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// An archive of the same project is the same: in another folder, under another
// umask, at another time, and whoever owns the files.
func TestSourceArchive(t *testing.T) {
	t.Parallel()
	need(t, "gcc", "tar", "xz")
	one := buildSource(t, project(t, "0.2"))
	other := project(t, "0.2")
	if err := os.Chmod(filepath.Join(other.ProjectDir, "livepatches/value/test.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	two := buildSource(t, other)
	for _, pair := range [][2]string{{one.Tarball, two.Tarball}, {one.Spec, two.Spec}, {one.Changes, two.Changes}, {one.Lint, two.Lint}} {
		if !bytes.Equal(readFile(t, pair[0]), readFile(t, pair[1])) {
			t.Errorf("%s differs", filepath.Base(pair[0]))
		}
	}
	const d, f = "drwxr-xr-x root/root", "-rw-r--r-- root/root"
	want := []string{
		d + " libtarget-livepatches-0.2/",
		d + " libtarget-livepatches-0.2/keys/",
		f + " libtarget-livepatches-0.2/keys/updates.asc",
		d + " libtarget-livepatches-0.2/livepatches/",
		d + " libtarget-livepatches-0.2/livepatches/value/",
		f + " libtarget-livepatches-0.2/livepatches/value/test.c",
		f + " libtarget-livepatches-0.2/livepatches/value/value.c",
		f + " libtarget-livepatches-0.2/livepatches/value/value.in",
		f + " libtarget-livepatches-0.2/lpbuild.yaml",
		d + " libtarget-livepatches-0.2/versions/",
		f + " libtarget-livepatches-0.2/versions/libtarget-11.json",
		f + " libtarget-livepatches-0.2/versions/libtarget-22.json",
		f + " libtarget-livepatches-0.2/versions.lock",
	}
	var got []string
	for line := range strings.Lines(output(t, "tar", "--full-time", "-tvf", one.Tarball)) {
		fields := strings.Fields(line) // mode, owner, size, date, time, name
		got = append(got, fields[0]+" "+fields[1]+" "+fields[5])
		if fields[3]+" "+fields[4] != "2026-03-14 15:09:26" {
			t.Errorf("time of %s", line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// Without xz the archive is larger, not different.
func TestSourceArchiveWithoutXZ(t *testing.T) {
	need(t, "gcc", "xz")
	tarOf := func(name string) string { return output(t, "xz", "-dc", name) }
	p := project(t, "0.2")
	with := tarOf(buildSource(t, p).Tarball)
	path := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	src := buildSource(t, p)
	t.Setenv("PATH", path)
	if tarOf(src.Tarball) != with {
		t.Error("the archives differ")
	}
}

func TestSourceIgnoresXZOptions(t *testing.T) {
	need(t, "gcc", "xz")
	p := project(t, "0.2")
	plain := readFile(t, buildSource(t, p).Tarball)
	t.Setenv("XZ_OPT", "-0 --check=crc32")
	t.Setenv("XZ_DEFAULTS", "--keep")
	if !bytes.Equal(plain, readFile(t, buildSource(t, p).Tarball)) {
		t.Error("the environment changes the archive")
	}
}

func TestSourceRefuses(t *testing.T) {
	t.Parallel()
	need(t, "gcc")
	tests := []struct {
		name   string
		change func(t *testing.T, dir string) error
		want   error
		text   string
	}{
		{name: "symbolic link", want: ErrSource, text: "livepatches/value/value.h", change: func(_ *testing.T, dir string) error {
			return os.Symlink("/etc/passwd", filepath.Join(dir, "livepatches/value/value.h"))
		}},
		{name: "binary", want: ErrSource, text: "livepatches/value/value.o", change: func(t *testing.T, dir string) error {
			write(t, filepath.Join(dir, "livepatches/value/value.o"), []byte("\x7fELF"))
			return nil
		}},
		{name: "nothing downloaded", want: os.ErrNotExist, text: "versions", change: func(_ *testing.T, dir string) error {
			return os.RemoveAll(filepath.Join(dir, "versions"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := project(t, "0.2")
			if err := tt.change(t, p.ProjectDir); err != nil {
				t.Fatal(err)
			}
			_, err := Source(t.Context(), p)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
			if left, err := os.ReadDir(filepath.Join(p.ProjectDir, "dist")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestSourceDate(t *testing.T) {
	newest := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	for _, tt := range []struct {
		env  string
		want int64
		fail bool
	}{{env: "", want: newest.Unix()}, {env: "86400", want: 86400}, {env: "tomorrow", fail: true}} {
		t.Setenv("SOURCE_DATE_EPOCH", tt.env)
		got, err := SourceDate(newest)
		if (err != nil) != tt.fail || err == nil && (got.Unix() != tt.want || got.Nanosecond() != 0) {
			t.Errorf("%q: %v, %v", tt.env, got, err)
		}
	}
}

// What rpmlint finds although the project is in order is explained in the
// rpmlintrc, except what depends on where the package is built and checked.
func TestLint(t *testing.T) {
	t.Parallel()
	need(t, "rpmlint", "gcc")
	p := project(t, "0.2")
	p.Description = "Live patches for libtarget. They replace the function value."
	src := buildSource(t, p)
	lint := command(t.Context(), "rpmlint", "-r", src.Lint, src.Spec, buildRPM(t, p))
	lint.Env = append(lint.Env, "HOME="+t.TempDir())
	out, _ := lint.CombinedOutput() // fails for what is left
	if !strings.Contains(string(out), "1 packages and 1 specfiles checked") {
		t.Fatalf("rpmlint: %s", out)
	}
	local := []string{"no-signature", "no-group-tag", "no-buildroot-tag", "invalid-url Source0", "invalid-license LGPL-2.1-or-later"}
	for line := range strings.Lines(string(out)) {
		known := slices.ContainsFunc(local, func(s string) bool { return strings.Contains(line, s) })
		if strings.HasPrefix(line, setName) && !known {
			t.Error(strings.TrimSpace(line))
		}
	}
}

// The spec file is one file for all flavours; the build service puts the name of
// the flavour into it, and rpmbuild alone does not.
func TestShards(t *testing.T) {
	t.Parallel()
	need(t, "gcc", "rpmspec", "xz")
	p := project(t, "0.2")
	p.Shards = 2
	src := buildSource(t, p)
	if want := "<multibuild>\n  <flavor>shard1</flavor>\n  <flavor>shard2</flavor>\n</multibuild>\n"; string(readFile(t, src.Multibuild)) != want {
		t.Errorf("_multibuild: %s", readFile(t, src.Multibuild))
	}
	spec := string(readFile(t, src.Spec))
	for _, tt := range []struct {
		name, flavor, pkg string
		make              string // how the containers come about
		needs, scripts    bool   // needs the shards, has scriptlets
	}{
		{"rpmbuild", "@BUILD_FLAVOR@", setName, `make $`, false, true},
		{"main flavour", "", setName, `make --merge$`, true, true},
		{"first", "shard1", setName + "-shard1", `make --shard 1/2$`, false, false},
		{"second", "shard2", setName + "-shard2", `make --shard 2/2$`, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "package.spec")
			write(t, file, []byte(strings.ReplaceAll(spec, "@BUILD_FLAVOR@", tt.flavor)))
			if got := strings.TrimSpace(output(t, "rpmspec", "-q", "--qf", "%{NAME}\\n", file)); got != tt.pkg {
				t.Errorf("package %q, want %q", got, tt.pkg)
			}
			parsed := output(t, "rpmspec", "-P", file)
			if !regexp.MustCompile(`(?m)lpbuild --offline.* `+tt.make).MatchString(parsed) || strings.Count(parsed, "lpbuild --offline") != 1 {
				t.Errorf("not built with %q:\n%s", tt.make, parsed)
			}
			if got := strings.Contains(parsed, "BuildRequires:  "+setName+"-shard2 = 0.2"); got != tt.needs {
				t.Errorf("needs the shards: %v", got)
			}
			if got := strings.Contains(parsed, "\n%posttrans\n"); got != tt.scripts || strings.Contains(parsed, "Requires(post)") != tt.scripts {
				t.Errorf("has scriptlets: %v", got)
			}
		})
	}
	p.Shards = 1
	if src = buildSource(t, p); src.Multibuild != "" {
		t.Errorf("one shard: %s", src.Multibuild)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(src.Spec), "_multibuild")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("_multibuild of an earlier run: %v", err)
	}
}
