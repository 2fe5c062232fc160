package dist

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/livepatch"
)

// need skips the test if a program is missing, and fails it under CI=true.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// linked is a shared object to make containers of, compiled once.
var linked = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "dist")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	src, out := filepath.Join(dir, "p.c"), filepath.Join(dir, "p.so")
	if err := os.WriteFile(src, []byte("int value_lp(void) { return 2; }\n"), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("gcc", "-g", "-shared", "-fPIC", "-nostartfiles", "-nostdlib", "-Wl,--build-id", "-o", out, src)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gcc: %w: %s", err, text)
	}
	return os.ReadFile(out)
})

const (
	setName = "libtarget-livepatches"
	idA     = "1111111111111111111111111111111111111111"
	idB     = "2222222222222222222222222222222222222222"
)

const testDescription = "! fixes CVE-2026-12345 and bsc#1200316\nvalue.so\n@/lib64/libtarget.so.1\nvalue:value_lp\n"

// container is a live patch of the set for the build with that build-id.
func container(t testing.TB, set, version, buildID string) []byte {
	t.Helper()
	so, err := linked()
	if err != nil {
		t.Fatal(err)
	}
	d, err := livepatch.ParseDescription("value.dsc", []byte(testDescription))
	if err != nil {
		t.Fatal(err)
	}
	id, err := hex.DecodeString(buildID)
	if err != nil {
		t.Fatal(err)
	}
	data, err := livepatch.Pack(so, livepatch.PackInput{
		Description: d, BuildID: id, Addresses: []uint64{0x1100},
		Info: &livepatch.Info{
			Set: set, SetVersion: version, Patch: "value", NEVRAs: []string{"libtarget1-1.0-1.x86_64"},
			Library: "/lib64/libtarget.so.1", Soname: "libtarget.so.1", Toolchain: "gcc",
			Functions: []livepatch.Function{{
				Old: "value", New: "value_lp", Address: 0x1100, Size: 64, SHA256: strings.Repeat("0", 64), Entry: "stock", Length: 6,
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write makes a file with its folders.
func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// project is a project folder with the containers of two builds made.
func project(t testing.TB, version string) Package {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lpbuild.yaml":                   "name: " + setName + "\n",
		"versions.lock":                  "{}\n",
		"versions/libtarget-11.json":     "{\"build_id\": \"" + idA + "\"}\n",
		"versions/libtarget-22.json":     "{\"build_id\": \"" + idB + "\"}\n",
		"livepatches/value/value.c":      "int value_lp(void) { return 2; }\n",
		"livepatches/value/value.in":     testDescription,
		"livepatches/value/test.c":       "int main(void) { return 0; }\n",
		"keys/updates.asc":               "a key\n",
		"notes.txt":                      "not part of it\n",
		"livepatches/value/.value.c.swp": "neither\n",
		"livepatches/value/value.c~":     "nor this\n",
	} {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	p := Package{
		Name: setName, Version: version, ProjectDir: dir, BuildIDs: []string{idA, idB},
		Summary: "Live patches for libtarget, 100% tested", License: "LGPL-2.1-or-later", URL: "https://example.org/lp",
		Description: "What %{name} replaces\nin libtarget.", Packager: "Security Team <security@example.org>",
		Time: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
	}
	for _, id := range p.BuildIDs {
		write(t, filepath.Join(dir, "build", "value_libtarget1-1.0-1.x86_64_libtarget.so.1_"+id[:8]+".so"), container(t, setName, version, id))
	}
	if err := WriteManifest(filepath.Join(dir, "build"), setName, version, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// output runs a program and returns its stdout and stderr together.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := command(t.Context(), name, args...)
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir()) // Debian's rpm makes a ~/.rpmdb, whatever it is asked
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// command is a program whose output does not depend on the caller's language.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return cmd
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func buildRPM(t testing.TB, p Package) string {
	t.Helper()
	name, err := RPM(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// debugMacros configures rpmbuild as SUSE and Fedora do, where every package
// gets a debuginfo package that its debug information is moved to.
func debugMacros(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "macros")
	write(t, name, []byte("%install %{debug_package}\\\n%%install\\\n%{nil}\n"))
	return name
}

// rpmbuild makes the one RPM from the source package, with a stand-in for lpbuild
// that puts in place what the project has in its build folder.
func rpmbuild(t testing.TB, p Package, top string) string {
	t.Helper()
	p.OutDir = filepath.Join(top, "SOURCES")
	src, err := Source(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	standIn := "#!/bin/sh -e\ntest -f lpbuild.yaml -a -d versions\necho \"$@\" >" + bin + "/args\ncp -rp " + p.ProjectDir + "/build build\n"
	if err := os.WriteFile(filepath.Join(bin, "lpbuild"), []byte(standIn), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), "rpmbuild", "-ba", "--nodeps", "--define", "_topdir "+top,
		"--load", debugMacros(t), src.Spec)
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rpmbuild: %v\n%s", err, out)
	}
	if args := readFile(t, filepath.Join(bin, "args")); !bytes.HasPrefix(args, []byte("--offline -j ")) || !bytes.HasSuffix(args, []byte(" make\n")) {
		t.Errorf("lpbuild was called with %q", args)
	}
	found, err := filepath.Glob(filepath.Join(top, "RPMS", "x86_64", "*.rpm"))
	if err != nil || len(found) != 1 {
		t.Fatalf("RPMs %q, %v", found, err)
	}
	return found[0]
}
