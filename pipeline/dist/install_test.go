package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lpbuild/lpbuild/rpmhook"
)

// scratch is a root for rpm --root, with a shell for scriptlets and, in the
// place of rpm-helper, a script that writes down how it is called.
type scratch struct{ root string }

func newScratch(t *testing.T) scratch {
	t.Helper()
	need(t, "rpm", "busybox", "gcc")
	if os.Getuid() != 0 {
		t.Skip("needs root: rpm runs scriptlets in a chroot")
	}
	s := scratch{t.TempDir()}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.root, "bin/sh"), readFile(t, busybox))
	write(t, filepath.Join(s.root, rpmhook.Helper), []byte("#!/bin/sh\necho \"$@\" >>/calls\nexit 7\n"))
	for _, name := range []string{"bin/sh", rpmhook.Helper} {
		if err := os.Chmod(filepath.Join(s.root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// rpm runs rpm in the root. It must succeed and say nothing.
func (s scratch) rpm(t *testing.T, args ...string) {
	t.Helper()
	cmd := command(t.Context(), "rpm", append([]string{"--force-debian", "--root", s.root, "--nodeps"}, args...)...)
	cmd.Env = append(cmd.Env, "HOME=/root")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// calls are the calls of the helper since the last time.
func (s scratch) calls(t *testing.T) []string {
	t.Helper()
	name := filepath.Join(s.root, "calls")
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	os.Remove(name)
	return strings.Fields(strings.ReplaceAll(strings.ReplaceAll(string(b), " "+setName+" ", "="), "\n", " "))
}

func TestTransactionsCallTheHook(t *testing.T) {
	t.Parallel()
	s := newScratch(t)
	v1, v2 := buildRPM(t, project(t, "0.1")), rpmbuild(t, project(t, "0.2"), t.TempDir())
	steps := []struct {
		name string
		args []string
		want []string
	}{
		{"install", []string{"-U", v1}, []string{"post=1", "posttrans=1"}},
		{"upgrade", []string{"-U", v2}, []string{"post=2", "preun=1", "postun=1", "posttrans=2"}},
		{"verify", []string{"-V", setName}, nil},
		{"reinstall", []string{"-U", "--replacepkgs", v2}, []string{"post=2", "preun=1", "postun=1", "posttrans=2"}},
		{"downgrade", []string{"-U", "--oldpackage", v1}, []string{"post=2", "preun=1", "postun=1", "posttrans=2"}},
		{"verify", []string{"-V", setName}, nil},
		{"erase", []string{"-e", setName}, []string{"preun=0", "postun=0"}},
	}
	for _, step := range steps {
		s.rpm(t, step.args...)
		if diff := cmp.Diff(step.want, s.calls(t), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", step.name, diff)
		}
	}
	if _, err := os.Stat(filepath.Join(s.root, "usr/lib64", setName)); !os.IsNotExist(err) {
		t.Errorf("after erase: %v", err)
	}
}

// programs builds the programs of the runtime package.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := command(t.Context(), "go", "build", "-o", dir, "./cmd/rpm-helper", "./cmd/lpctl")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// In a root that is not the running system's, the real helper does nothing and
// says nothing, whatever the transaction. rpm prints what scriptlets print.
func TestRealHelperIsQuietInAChroot(t *testing.T) {
	t.Parallel()
	s := newScratch(t)
	if err := os.Remove(filepath.Join(s.root, rpmhook.Helper)); err != nil {
		t.Fatal(err)
	}
	p := project(t, "0.1")
	runtime, err := RuntimeRPM(t.Context(), Package{Version: "0.1", OutDir: t.TempDir(), Time: p.Time, Compress: "zstd"}, programs(t))
	if err != nil {
		t.Fatal(err)
	}
	v1 := buildRPM(t, p)
	s.rpm(t, "-U", runtime, v1)
	s.rpm(t, "-V", RuntimeName, setName)
	s.rpm(t, "-U", buildRPM(t, project(t, "0.2")))
	s.rpm(t, "-e", RuntimeName, setName)
	if out := output(t, "rpm", "-qp", "--conflicts", runtime); out != "libpulp-tools\n" {
		t.Errorf("conflicts: %q", out)
	}
	names := output(t, "rpm", "-qplv", runtime)
	for _, want := range []string{"/usr/bin/lpctl", "/usr/bin/ulp -> lpctl", rpmhook.Helper} {
		if !strings.Contains(names, want+"\n") {
			t.Errorf("no %s:\n%s", want, names)
		}
	}
}

func TestRuntimeRPMRefusesDynamicPrograms(t *testing.T) {
	t.Parallel()
	need(t, "gcc")
	bin := t.TempDir()
	src := filepath.Join(bin, "main.c")
	write(t, src, []byte("int main(void) { return 0; }\n"))
	for _, name := range []string{"rpm-helper", "lpctl"} {
		output(t, "gcc", "-o", filepath.Join(bin, name), src)
	}
	p := Package{Version: "0.1", OutDir: t.TempDir(), Time: project(t, "0.1").Time}
	if _, err := RuntimeRPM(t.Context(), p, bin); err == nil || !strings.Contains(err.Error(), "not static") {
		t.Errorf("error %v", err)
	}
}

// zypper gives %posttrans 1 on an upgrade, where rpm gives it 2.
func TestZypper(t *testing.T) {
	t.Parallel()
	need(t, "zypper", "createrepo_c")
	s := newScratch(t)
	repo, home := t.TempDir(), t.TempDir()
	write(t, filepath.Join(home, ".rpmmacros"), []byte("%_dbpath /var/lib/rpm\n"))
	zypper := func(args ...string) {
		t.Helper()
		cmd := command(t.Context(), "zypper", append([]string{"-n", "--no-gpg-checks", "--root", s.root}, args...)...)
		cmd.Env = append(cmd.Env, "HOME="+home, "ZYPP_LOCKFILE_ROOT="+s.root)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("zypper %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	// The packages that ours require, with nothing in them.
	for _, name := range []string{RuntimeName, "shell"} {
		p := Package{Name: name, Version: "1", OutDir: repo, Time: project(t, "0.1").Time}.withDefaults()
		w, err := newWriter(p)
		if err != nil {
			t.Fatal(err)
		}
		w.file("/usr/share/"+name, 0o644, nil)
		if name == "shell" {
			if err := w.rpm.Provides.Set("/bin/sh"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		version string
		args    []string
		want    []string
	}{
		{"0.1", []string{"in", setName}, []string{"post=1", "posttrans=1"}},
		{"0.2", []string{"up", setName}, []string{"post=2", "preun=1", "postun=1", "posttrans=1"}},
		{"", []string{"rm", setName}, []string{"preun=0", "postun=0"}},
	}
	zypper("ar", "-f", "dir://"+repo, "lab")
	for _, step := range steps {
		if step.version != "" {
			p := project(t, step.version)
			p.OutDir = repo
			buildRPM(t, p)
			output(t, "createrepo_c", "-q", repo)
			zypper("ref", "-f")
		}
		zypper(step.args...)
		if diff := cmp.Diff(step.want, s.calls(t), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%v: calls (-want +got):\n%s", step.args, diff)
		}
	}
}
