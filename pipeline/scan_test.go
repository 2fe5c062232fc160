package pipeline

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// shippedBuild is a record made of words: the changelog's entries, newest first,
// where "fix CVE-…" names a CVE and "doubt CVE-…" does so with doubt; the code
// of inflate, "-" for none and "" for one that cannot be compared.
type shippedBuild struct {
	nevra, changelog, code string
}

func (s shippedBuild) record() *elfinfo.Build {
	b := &elfinfo.Build{NEVRA: s.nevra, Package: "zlib", Arch: "x86_64", Soname: "libz.so.1", Library: "/lib64/libz.so.1",
		BuildID:   elfinfo.BuildID(fmt.Sprintf("%x", sha256.Sum256([]byte(s.nevra)))),
		Functions: map[string][]elfinfo.Function{"inflate": {{Code: s.code}}}}
	if s.code == "-" {
		b.Functions, b.Absent = nil, []string{"inflate"}
	}
	if s.changelog == "none" {
		return b
	}
	b.Changelog = new(elfinfo.Changelog)
	for i, entry := range strings.Fields(s.changelog) {
		at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -i)
		sum := sha256.Sum256([]byte(entry))
		b.Changelog.Entries = append(b.Changelog.Entries, sum[:elfinfo.ChangelogMark]...)
		b.Changelog.Oldest = at
		what, cve, named := strings.Cut(entry, ":")
		if named {
			for says := range strings.SplitSeq(what, "+") {
				m := elfinfo.Mention{CVE: cve, Entry: i, Time: at, Text: entry}
				if says == "doubt" {
					m.Doubt = "revert"
				}
				b.Changelog.Mentions = append(b.Changelog.Mentions, m)
			}
		}
	}
	return b
}

func patchOf(comments ...string) Patch {
	p := Patch{Description: &livepatch.Description{File: "inflate.in", Target: "/lib64/libz.so.1", Comments: comments,
		Units: []livepatch.Unit{{Old: "inflate", New: "inflate_lp"}}}}
	p.Name = "inflate"
	return p
}

const fix = "fix:CVE-2022-37434"

func TestVerdict(t *testing.T) {
	t.Parallel()
	old := shippedBuild{"zlib-1-1.x86_64", "c b a", "old"}
	fixed := shippedBuild{"zlib-1-2.x86_64", fix + " c b a", "new"}
	for _, tt := range []struct {
		name   string
		build  shippedBuild
		others []shippedBuild
		want   Finding
		reason string
	}{
		{"named", fixed, []shippedBuild{old}, Fixed, "changelog, 2020-01-01: fix"},
		{"named before, and nothing else known", fixed, nil, Fixed, "changelog"},
		{"made before the fix", old, []shippedBuild{fixed}, Affected, "made before the fix: the changelog of zlib-1-2"},
		{"a branch of its own", shippedBuild{"zlib-1-9.x86_64", "x b a", "other"}, []shippedBuild{old, fixed}, Unknown, "back to 2019-12-30, does not name it"},
		{"changelog cut after the fix", shippedBuild{"zlib-1-3.x86_64", "e d", "newer"},
			[]shippedBuild{old, {"zlib-1-2.x86_64", "d " + fix + " b a", "new"}}, Fixed, "goes on from that of zlib-1-2"},
		{"changelog cut before the fix", shippedBuild{"zlib-1-3.x86_64", "e c b", "newer"}, []shippedBuild{fixed}, Unknown, "does not name it"},
		{"changelog lost the fix", shippedBuild{"zlib-1-3.x86_64", "d c b a", "newer"},
			[]shippedBuild{{"zlib-1-2.x86_64", "d " + fix + " c b a", "new"}}, Unknown, "does not name it"},
		{"code of a fixed build", shippedBuild{"zlib-1-8.x86_64", "x", "new"}, []shippedBuild{old, fixed}, Fixed, "is that of zlib-1-2.x86_64, which is fixed, and not that of zlib-1-1"},
		{"code of a fixed build, none from before it", shippedBuild{"zlib-1-8.x86_64", "x", "new"}, []shippedBuild{fixed}, Unknown, "does not name it"},
		{"code of a fixed build of another version", shippedBuild{"zlib-1-8.x86_64", "x", "new"},
			[]shippedBuild{{"zlib-0-1.x86_64", "c b a", "old"}, fixed}, Unknown, "does not name it"},
		{"code of a build made before the fix", shippedBuild{"zlib-1-8.x86_64", "x", "old"}, []shippedBuild{old, fixed}, Affected, "is that of zlib-1-1"},
		{"the fix changed no code", shippedBuild{"zlib-1-8.x86_64", "x", "same"},
			[]shippedBuild{{"zlib-1-1.x86_64", "c b a", "same"}, {"zlib-1-2.x86_64", fix + " c b a", "same"}}, Affected, "made before the fix"},
		{"named, but the code is that of before", shippedBuild{"zlib-1-2.x86_64", fix + " c b a", "old"}, []shippedBuild{old}, Unknown, "; but the code of inflate is that of zlib-1-1"},
		{"reverted", shippedBuild{"zlib-1-3.x86_64", "doubt:CVE-2022-37434 " + fix + " c b a", "third"}, []shippedBuild{old, fixed}, Unknown, `says "revert"`},
		{"named twice", shippedBuild{"zlib-1-4.x86_64", "upstreamed:CVE-2022-37434 e " + fix + " c", "fourth"}, nil, Fixed, "2019-12-30: fix:"},
		{"reverted and fixed again", shippedBuild{"zlib-1-4.x86_64", "again:CVE-2022-37434 doubt:CVE-2022-37434 " + fix + " c", "fourth"}, nil, Fixed, "2020-01-01: again:"},
		{"doubt shows nothing of others", old, []shippedBuild{{"zlib-1-2.x86_64", "doubt:CVE-2022-37434 c b a", "new"}}, Unknown, "does not name it"},
		{"another CVE", shippedBuild{"zlib-1-2.x86_64", "fix:CVE-2022-3743 c b a", "new"}, []shippedBuild{old}, Unknown, "does not name it"},
		{"absent", shippedBuild{"zlib-1-0.x86_64", "a", "-"}, []shippedBuild{fixed}, Absent, "it has no inflate"},
		{"absent, and named", shippedBuild{"zlib-1-0.x86_64", fix, "-"}, nil, Fixed, "changelog"},
		{"code that cannot be compared", shippedBuild{"zlib-1-8.x86_64", "x", ""}, []shippedBuild{{"zlib-1-1.x86_64", "c b a", ""}, fixed}, Unknown, ""},
		{"made between two mentions", shippedBuild{"zlib-1-2.x86_64", "e d c", "x"},
			[]shippedBuild{{"zlib-1-3.x86_64", "again:CVE-2022-37434 e " + fix + " d c", "new"}}, Unknown, "does not name it"},
		{"cut between two mentions", shippedBuild{"zlib-1-4.x86_64", "f e", "x"},
			[]shippedBuild{{"zlib-1-3.x86_64", "again:CVE-2022-37434 e " + fix + " d c", "new"}}, Unknown, "does not name it"},
		{"cut at an entry that another branch has below the fix", shippedBuild{"zlib-1-4.x86_64", "f x", "third"},
			[]shippedBuild{{"zlib-2-1.x86_64", "x " + fix + " c", "new"}, {"zlib-1-5.x86_64", fix + " x c", "new"}}, Unknown, "does not name it"},
		{"fixed and reverted in one entry", shippedBuild{"zlib-1-2.x86_64", "fix+doubt:CVE-2022-37434 b", "new"}, nil, Unknown, `says "revert"`},
		{"reverted and fixed in one entry", shippedBuild{"zlib-1-2.x86_64", "doubt+fix:CVE-2022-37434 b", "new"}, nil, Unknown, `says "revert"`},
		{"code of builds before and after", shippedBuild{"zlib-1-8.x86_64", "x", "new"},
			[]shippedBuild{old, {"zlib-1-1.1.x86_64", "b a", "new"}, fixed}, Unknown, "made before the fix, and of zlib-1-2.x86_64, which is fixed"},
		{"no changelog in the record", shippedBuild{"zlib-1-8.x86_64", "none", "x"}, []shippedBuild{old, fixed}, Unknown, "run lpbuild download"},
		{"no changelog in the package", shippedBuild{"zlib-1-8.x86_64", "", "x"}, []shippedBuild{old, fixed}, Unknown, "the package has no changelog"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			build := tt.build.record()
			all := []*elfinfo.Build{build}
			for _, o := range tt.others {
				all = append(all, o.record())
			}
			for range 2 { // whatever the order is
				got := NewEvidence(all).Verdict(patchOf("Fixes CVE-2022-37434."), build)
				if got.Finding != tt.want || !strings.Contains(got.Reason, tt.reason) || !strings.HasPrefix(got.Reason, "CVE-2022-37434: ") {
					t.Errorf("%s: %s, want %s: …%s…", got.Finding, got.Reason, tt.want, tt.reason)
				}
				slices.Reverse(all)
			}
		})
	}
}

// TestVerdictOfSeveral: a build is fixed only if all that the patch repairs is.
func TestVerdictOfSeveral(t *testing.T) {
	t.Parallel()
	b := shippedBuild{"zlib-1-2.x86_64", "fix:CVE-2018-25032 " + fix, "new"}.record()
	e := NewEvidence([]*elfinfo.Build{b})
	for _, tt := range []struct {
		patch Patch
		want  Finding
	}{
		{patchOf("CVE-2022-37434", "bsc#1 CVE-2018-25032"), Fixed},
		{patchOf("CVE-2022-37434 CVE-2018-25032", "CVE-2023-0001"), Unknown},
		{patchOf("bsc#1202175"), Unknown},
	} {
		if got := e.Verdict(tt.patch, b); got.Finding != tt.want {
			t.Errorf("%v: %+v, want %s", tt.patch.Description.Comments, got, tt.want)
		}
	}
}

// TestVerdictOtherArch: equal digests of code of two architectures say nothing.
func TestVerdictOtherArch(t *testing.T) {
	t.Parallel()
	old := shippedBuild{"zlib-1-1.x86_64", "c b a", "old"}.record()
	fixed := shippedBuild{"zlib-1-2.x86_64", fix + " c b a", "new"}.record()
	other := shippedBuild{"zlib-1-8.aarch64", "x", "new"}.record()
	other.Arch = "aarch64"
	e := NewEvidence([]*elfinfo.Build{old, fixed, other})
	if got := e.file("CVE-2022-37434", nil).verdict(other); got.Finding != Unknown {
		t.Errorf("without a live patch: %+v", got)
	}
	if got := e.Verdict(patchOf("CVE-2022-37434"), other); got.Finding != Unknown {
		t.Errorf("%+v", got)
	}
}

func TestVerdictNotRecorded(t *testing.T) {
	t.Parallel()
	b := shippedBuild{"zlib-1-2.x86_64", "a", "new"}.record()
	b.Functions = nil
	got := NewEvidence([]*elfinfo.Build{b}).Verdict(patchOf("CVE-2022-37434"), b)
	if got.Finding != Unknown || !strings.Contains(got.Reason, "run lpbuild download") {
		t.Errorf("%+v", got)
	}
}

func TestScanErrors(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one": "!nothing\none.so\n@/lib64/libc.so.6\nfree:free_lp\n"})
	if _, err := p.Scan(nil); !errors.Is(err, ErrCVE) {
		t.Errorf("nothing to scan for: %v", err)
	}
	if _, err := p.Scan([]string{"CVE-22-1"}); !errors.Is(err, ErrCVE) {
		t.Errorf("no CVE: %v", err)
	}
	if _, err := p.Scan([]string{"CVE-2022-37434"}); !errors.Is(err, ErrNoRecords) {
		t.Errorf("no records: %v", err)
	}
}

// BenchmarkVerdict is a thousand builds with long changelogs.
func BenchmarkVerdict(b *testing.B) {
	var history []string
	for i := range 1000 {
		history = append(history, fmt.Sprint("entry", i))
	}
	history[500] = fix
	var all []*elfinfo.Build
	for i := range 1000 {
		all = append(all, shippedBuild{fmt.Sprintf("zlib-1-%d.x86_64", i), strings.Join(history[i:], " "), fmt.Sprint(i / 100)}.record())
	}
	patch := patchOf("CVE-2022-37434")
	for b.Loop() {
		e := NewEvidence(all)
		for _, build := range all {
			e.Verdict(patch, build)
		}
	}
}
