package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// benchBuilds is the number of builds that the design's goal is set for.
const benchBuilds = 100

// syntheticBuilds are n builds that differ in build-id and address, in groups
// with different versions of an import: as many links as a distribution has
// generations of glibc.
func syntheticBuilds(t testing.TB, n, links int) []*elfinfo.Build {
	t.Helper()
	base := record(t, hostLibc(t), "glibc-0-0.x86_64", "__libc_malloc")
	var builds []*elfinfo.Build
	for i := range n {
		b := *base
		b.NEVRA = fmt.Sprintf("glibc-2.%d-%d.x86_64", i%links, i)
		id := sha256.Sum256([]byte(b.NEVRA))
		b.BuildID = elfinfo.BuildID(hex.EncodeToString(id[:20]))
		b.Symbols = append([]elfinfo.Symbol(nil), base.Symbols...)
		for j := range b.Symbols {
			if b.Symbols[j].Name == "calloc" {
				b.Symbols[j].Version = fmt.Sprintf("GLIBC_2.%d", i%links)
			}
		}
		builds = append(builds, &b)
	}
	return builds
}

const benchSource = `
#include <stdlib.h>
#include <string.h>
static const char text[] = "glibc-livepatch";
void *malloc_lp(size_t size)
{
	char *block = calloc(1, size);
	if (block && size > 0) {
		memcpy(block, text, size < sizeof text ? size : sizeof text);
		block[size - 1] = '\0';
	}
	return block;
}
`

const benchTemplate = "! bsc#1\nfix.so\n@/lib64/libc.so.6\n__libc_malloc:malloc_lp\n"

// BenchmarkMakeCold makes 100 containers from one source with an empty cache
// and 8 distinct links; the goal is 1.5 s.
func BenchmarkMakeCold(b *testing.B) {
	builds := syntheticBuilds(b, benchBuilds, 8)
	p, o := project(b, benchSource, benchTemplate)
	dir := b.TempDir()
	i := 0
	for b.Loop() {
		i++
		o.CacheDir = filepath.Join(dir, fmt.Sprint("cache", i))
		o.OutDir = filepath.Join(dir, fmt.Sprint("out", i))
		mustMake(b, p, builds, o)
	}
}

// BenchmarkMakeUnchanged makes the same 100 containers when nothing has
// changed; the goal is 0.1 s.
func BenchmarkMakeUnchanged(b *testing.B) {
	builds := syntheticBuilds(b, benchBuilds, 8)
	p, o := project(b, benchSource, benchTemplate)
	mustMake(b, p, builds, o)
	for b.Loop() {
		for _, out := range mustMake(b, p, builds, o) {
			if !out.Cached {
				b.Fatalf("%s was made again", out.Build.NEVRA)
			}
		}
	}
}

// BenchmarkMakeAllDifferent is the worst case: every build needs its own link.
func BenchmarkMakeAllDifferent(b *testing.B) {
	builds := syntheticBuilds(b, benchBuilds, benchBuilds)
	p, o := project(b, benchSource, benchTemplate)
	dir := b.TempDir()
	i := 0
	for b.Loop() {
		i++
		o.CacheDir = filepath.Join(dir, fmt.Sprint("cache", i))
		o.OutDir = filepath.Join(dir, fmt.Sprint("out", i))
		mustMake(b, p, builds, o)
	}
}
