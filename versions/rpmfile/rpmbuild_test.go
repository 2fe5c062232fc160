package rpmfile

import (
	"bytes"
	"context"
	"crypto"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"
)

func bytesReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

// need skips without the program, and fails where nothing may be skipped.
func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

const specFile = `
%global debug_package %{nil}
Name: lab
Epoch: 3
Version: 1.0~rc1
Release: 2
Summary: lab
License: MIT
%description
lab
%install
mkdir -p %{buildroot}/lib64
head -c 300000 /dev/zero > %{buildroot}/lib64/liblab-1.0.so
echo lab >> %{buildroot}/lib64/liblab-1.0.so
ln -s liblab-1.0.so %{buildroot}/lib64/liblab.so.1
echo linked > %{buildroot}/lib64/one
ln %{buildroot}/lib64/one %{buildroot}/lib64/two
%files
/lib64/*
%ghost /lib64/cache
`

func TestRealPackages(t *testing.T) {
	need(t, "rpmbuild")
	for _, payload := range []string{"w9.gzdio", "w9.bzdio", "w6.xzdio", "w6.lzdio", "w9.zstdio", "w.ufdio"} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			spec := filepath.Join(dir, "lab.spec")
			if err := os.WriteFile(spec, []byte(strings.Replace(specFile, "%install", "%install\n: > /dev/null\nmkdir -p %{buildroot}/lib64; touch %{buildroot}/lib64/cache", 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("rpmbuild", "-bb", "--nodeps", "--target", "x86_64", "--define", "_topdir "+dir,
				"--define", "_binary_payload "+payload, "--define", "__strip /bin/true", spec)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			p, err := Open(filepath.Join(dir, "RPMS/x86_64/lab-1.0~rc1-2.x86_64.rpm"))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			checkLab(t, p)
		})
	}
}

func checkLab(t *testing.T, p *Package) {
	t.Helper()
	if got := p.NEVRA().String(); got != "lab-3:1.0~rc1-2.x86_64" {
		t.Errorf("NEVRA %s", got)
	}
	if p.Source() || time.Since(p.BuildTime()) > time.Hour {
		t.Errorf("source %v, built %v", p.Source(), p.BuildTime())
	}
	if digest, err := p.checkPayloadDigest(); digest != crypto.SHA256 || err != nil {
		t.Errorf("payload digest: %v, %v", digest, err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := p.Extract(context.Background(), root, func(*File) bool { return true }); err != nil {
		t.Fatal(err)
	}
	lib, err := os.ReadFile(filepath.Join(dir, "lib64/liblab.so.1"))
	if err != nil || len(lib) != 300004 || !bytes.HasSuffix(lib, []byte("lab\n")) {
		t.Errorf("library: %d bytes, %v", len(lib), err)
	}
	for _, name := range []string{"one", "two"} {
		if b, err := os.ReadFile(filepath.Join(dir, "lib64", name)); err != nil || string(b) != "linked\n" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "lib64/cache")); err == nil {
		t.Error("a ghost was unpacked")
	}
	pl, err := p.Payload()
	if err != nil {
		t.Fatal(err)
	}
	defer pl.Close()
	for {
		if _, err := pl.Next(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// rpmpack's archives have absolute names and no inodes.
func TestRpmpackPackages(t *testing.T) {
	for _, compressor := range []string{"gzip", "xz", "lzma", "zstd"} {
		t.Run(compressor, func(t *testing.T) {
			r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "lab", Version: "1", Release: "1", Arch: "x86_64",
				Epoch: rpmpack.NoEpoch, Compressor: compressor, BuildTime: time.Unix(1700000000, 0)})
			if err != nil {
				t.Fatal(err)
			}
			r.AddFile(rpmpack.RPMFile{Name: "/lib64", Mode: 0o40755})
			r.AddFile(rpmpack.RPMFile{Name: "/lib64/libc-2.31.so", Mode: 0o755, Body: []byte("library")})
			r.AddFile(rpmpack.RPMFile{Name: "/lib64/libc.so.6", Mode: 0o120777, Body: []byte("libc-2.31.so")})
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			dir, done, err := extract(t, b.Bytes())
			if err != nil || len(done) != 2 {
				t.Fatalf("%v, %v", done, err)
			}
			if lib, err := os.ReadFile(filepath.Join(dir, "lib64/libc.so.6")); string(lib) != "library" {
				t.Errorf("%q, %v", lib, err)
			}
			if p := open(t, b.Bytes()); p.NEVRA().String() != "lab-1-1.x86_64" || p.BuildTime().Unix() != 1700000000 {
				t.Errorf("%s, %v", p.NEVRA(), p.BuildTime())
			}
		})
	}
}
