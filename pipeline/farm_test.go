package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// farm is a project with one live patch and n builds that differ from this
// machine's libc in name and build-id alone.
func farm(tb testing.TB, n int) *Project {
	tb.Helper()
	out, err := exec.Command("gcc", "-print-file-name=libc.so.6").Output()
	if err != nil {
		tb.Skipf("no gcc: %v", err)
	}
	f, err := elfinfo.Open(strings.TrimSpace(string(out)))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	b, err := elfinfo.NewBuild(f, nil, []string{"__libc_malloc"})
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(tb.TempDir(), "p")
	if _, err := Init(dir, InitOptions{Example: "malloc"}); err != nil {
		tb.Fatal(err)
	}
	lock := &versions.Lock{Format: versions.LockFormat, Packages: versions.Names{"glibc"}}
	b.Package, b.Arch, b.Library, b.BuildTime = "glibc", "x86_64", "/lib64/libc.so.6", time.Unix(1e9, 0).UTC()
	for i := range n {
		b.NEVRA = fmt.Sprintf("glibc-2.%d-%d.x86_64", i%8, i)
		sum := sha256.Sum256([]byte(b.NEVRA))
		b.RPMSHA256 = hex.EncodeToString(sum[:])
		b.BuildID = elfinfo.BuildID(b.RPMSHA256[:40])
		record := b.NEVRA + "_" + b.Soname + ".json"
		writeRecord(tb, filepath.Join(dir, versions.RecordsDir, record), b)
		lock.Builds = append(lock.Builds, versions.Locked{
			NEVRA: b.NEVRA, Arch: b.Arch, RPMSHA256: b.RPMSHA256, Library: b.Library, Soname: b.Soname,
			BuildID: b.BuildID, BuildTime: b.BuildTime, Record: record,
		})
	}
	text, err := json.Marshal(lock)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, versions.LockFile), text, 0o666); err != nil {
		tb.Fatal(err)
	}
	p, err := Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func writeRecord(tb testing.TB, name string, b *elfinfo.Build) {
	tb.Helper()
	var out bytes.Buffer
	if err := b.Encode(&out); err != nil {
		tb.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o666); err != nil {
		tb.Fatal(err)
	}
}

// makeFarm makes everything and fails on any refusal.
func makeFarm(tb testing.TB, p *Project, cache string, want Result) {
	tb.Helper()
	report, err := p.Make(tb.Context(), Options{Cache: cache})
	if err != nil {
		tb.Fatal(err)
	}
	for _, row := range report.Rows {
		if row.Result != want {
			tb.Fatalf("%+v", row)
		}
	}
}

// BenchmarkMakeFarm is lpbuild make as a whole, records included. The goal for
// 100 builds is 1.5 s with an empty cache and 0.1 s when nothing has changed.
func BenchmarkMakeFarm(b *testing.B) {
	for _, n := range []int{100, 1000} {
		p := farm(b, n)
		b.Run(fmt.Sprintf("cold/%d", n), func(b *testing.B) {
			for b.Loop() {
				makeFarm(b, p, b.TempDir(), Built)
			}
		})
		cache := b.TempDir()
		makeFarm(b, p, cache, Built)
		b.Run(fmt.Sprintf("unchanged/%d", n), func(b *testing.B) {
			for b.Loop() {
				makeFarm(b, p, cache, Cached)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
		})
	}
}
