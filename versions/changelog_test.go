package versions

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

func TestMentions(t *testing.T) {
	t.Parallel()
	type found struct{ CVE, Text, Doubt string }
	for _, tt := range []struct {
		name, text string
		want       []found
	}{
		{"fedora", "- Fix heap over-read in inflate\n  Resolves: CVE-2022-37434\n- Rebuild\n",
			[]found{{"CVE-2022-37434", "Fix heap over-read in inflate Resolves: CVE-2022-37434", ""}}},
		{"suse", "- Security fix: [bsc#1202175, CVE-2022-37434]\n  * Fix an over-read.\n  * Added CVE-2022-37434-extra-header-1.patch\n",
			[]found{
				{"CVE-2022-37434", "Security fix: [bsc#1202175, CVE-2022-37434]", ""},
				{"CVE-2022-37434", "Security fix: [bsc#1202175, CVE-2022-37434] Added CVE-2022-37434-extra-header-1.patch", ""},
			}},
		{"debian", "  [ Mark Brown ]\n  * Fix buffer overflow (CVE-2018-25032,CVE-2022-37434)\n    (Closes: #1018710).\n",
			[]found{
				{"CVE-2018-25032", "Fix buffer overflow (CVE-2018-25032,CVE-2022-37434) (Closes: #1018710).", ""},
				{"CVE-2022-37434", "Fix buffer overflow (CVE-2018-25032,CVE-2022-37434) (Closes: #1018710).", ""},
			}},
		{"no bullets", "Fixes cve-2022-37434.\n\nReverts something else.\n", []found{{"CVE-2022-37434", "Fixes cve-2022-37434.", ""}}},
		{"reverted", "- Revert the fix of CVE-2022-37434: it breaks curl\n", []found{{"CVE-2022-37434", "Revert the fix of CVE-2022-37434: it breaks curl", "revert"}}},
		{"not affected", "* CVE-2022-37434: this version is not affected\n", []found{{"CVE-2022-37434", "CVE-2022-37434: this version is not affected", "is not affected"}}},
		{"does not affect", "* CVE-2022-37434 doesn't affect us\n", []found{{"CVE-2022-37434", "CVE-2022-37434 doesn't affect us", "doesn't affect"}}},
		{"dropped below a heading", "- Remove patches:\n  * CVE-2022-37434.patch\n- Other\n",
			[]found{{"CVE-2022-37434", "Remove patches: CVE-2022-37434.patch", "remove"}}},
		{"dropped below lines without a bullet", "Remove patches:\n * CVE-2022-37434.patch\n",
			[]found{{"CVE-2022-37434", "Remove patches: CVE-2022-37434.patch", "remove"}}},
		{"dropped, upstream has it", "- Remove patches, fixed upstream:\n  * CVE-2022-37434.patch\n",
			[]found{{"CVE-2022-37434", "Remove patches, fixed upstream: CVE-2022-37434.patch", ""}}},
		{"dropped, upstream does not want it", "- Drop CVE-2022-37434.patch, rejected upstream\n",
			[]found{{"CVE-2022-37434", "Drop CVE-2022-37434.patch, rejected upstream", "rejected"}}},
		{"the neighbour is reverted", "- Revert x\n- Fix CVE-2022-37434\n", []found{{"CVE-2022-37434", "Fix CVE-2022-37434", ""}}},
		{"words that describe the fault", "- CVE-2022-37434: length was not checked\n", []found{{"CVE-2022-37434", "CVE-2022-37434: length was not checked", ""}}},
		{"no name of a CVE", "- NOTCVE-2022-37434, CVE-2022-123, CVE-22-37434, CVE-2022-12345678901234567890\n", nil},
		{"controls", "- Fix\x1b[31m CVE-2022-37434\x00 \xff\n", []found{{"CVE-2022-37434", "Fix[31m CVE-2022-37434 ?", ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []found
			for _, m := range mentions(tt.text) {
				got = append(got, found{m.CVE, m.Text, m.Doubt})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDoubt: sloppy words for what is not fixed make a mention doubtful, words
// for the fault do not.
func TestDoubt(t *testing.T) {
	t.Parallel()
	for doubtful, texts := range map[bool][]string{
		true: {
			"# is not addressed by this update", "this release does not address #", "does not resolve # yet", "cannot backport #",
			"# remains open, fix pending upstream", "TODO: #", "a fix for # will follow", "no upstream fix for # available",
			"skip #.patch, does not build", "comment out #.patch", "Don\u2019t apply #.patch", "won't fix #", "prepare for #",
			"# reintroduced by mistake", "vulnerable to #", "postpone the fix of #", "does not yet backport the fix for #",
			"lacks the fix for #", "exclude #", "unresolved: #", "unpatched #", "undo #.patch", "rolled back #", "withdraw #",
			"unapply #.patch", "known issues: #", "# to be fixed",
		},
		false: {
			"Add missing fix for #", "did not resolve links safely (#)", "failed to follow links (#)", "skips a check, see #",
			"length is not checked (#)", "never frees what it skips (#)", "no bounds check (#)",
		},
	} {
		for _, text := range texts {
			found := mentions("- " + strings.ReplaceAll(text, "#", "CVE-2022-37434") + "\n")
			if len(found) != 1 || (found[0].Doubt != "") != doubtful {
				t.Errorf("%s: %+v", text, found)
			}
		}
	}
}

// TestEntryCutShort: what is read of an entry that is too long names no CVE that
// it does not name.
func TestEntryCutShort(t *testing.T) {
	t.Parallel()
	const text = "- Fix CVE-2022-37434\n- Fix CVE-2022-374345\n"
	for limit := range len(text) + 1 {
		got := mentions(whole(text, limit))
		if len(got) > 1 && limit < len(text) || len(got) == 1 && got[0].CVE != "CVE-2022-37434" {
			t.Errorf("%d bytes: %+v", limit, got)
		}
	}
	if got := whole("a\nb", 3); got != "a\nb" {
		t.Errorf("%q", got)
	}
}

// TestMentionExcerpt: of a long paragraph the part that names the CVE is kept.
func TestMentionExcerpt(t *testing.T) {
	t.Parallel()
	text := "- " + strings.Repeat("é", 1000) + " CVE-2022-37434 " + strings.Repeat("ü", 1000)
	got := mentions(text)
	if len(got) != 1 || len(got[0].Text) > elfinfo.MaxMentionText || !strings.Contains(got[0].Text, "CVE-2022-37434") || !utf8.ValidString(got[0].Text) {
		t.Errorf("%+v", got)
	}
}

// TestDownloadRecordsChangelog: the record has the changelog of the verified
// package, and a record of an earlier lpbuild, which lacks it, gets it.
func TestDownloadRecordsChangelog(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := rpmfile.ChangelogEntry{Time: time.Date(2022, 1, 3, 12, 0, 0, 0, time.UTC), Title: "Jane 1-1", Text: "- First"}
	l.changelog = []rpmfile.ChangelogEntry{first}
	l.addVersion("1.0")
	fix := rpmfile.ChangelogEntry{Time: first.Time.AddDate(1, 0, 0), Title: "Jane 2-1", Text: "- Fix CVE-2022-37434\n- Fix CVE-2021-1111, not fixed in curl"}
	l.changelog = []rpmfile.ChangelogEntry{fix, {Time: first.Time, Title: first.Title, Text: "-  First\n"}}
	l.addVersion("2.0")
	l.index()
	l.download("demo")
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	before, after := records[0].Changelog, records[1].Changelog
	want := []elfinfo.Mention{
		{CVE: "CVE-2022-37434", Time: fix.Time, Title: "Jane 2-1", Text: "Fix CVE-2022-37434"},
		{CVE: "CVE-2021-1111", Time: fix.Time, Title: "Jane 2-1", Text: "Fix CVE-2021-1111, not fixed in curl", Doubt: "not fixed"},
	}
	if diff := cmp.Diff(want, after.Mentions); diff != "" || len(before.Mentions) != 0 {
		t.Errorf("%+v\n%s", before, diff)
	}
	if got := records[1].Fixes(); !slices.Equal(got, []string{"CVE-2022-37434"}) {
		t.Errorf("fixes %v", got)
	}
	if !after.Newest.Equal(fix.Time) || !after.Oldest.Equal(first.Time) || !bytes.Equal(after.Entries[elfinfo.ChangelogMark:], before.Entries) {
		t.Errorf("entries %x from %v to %v, those before %x", after.Entries, after.Newest, after.Oldest, before.Entries)
	}

	name := filepath.Join(l.project, RecordsDir, "demo-2.0-1.x86_64_libdemo.so.1_"+string(records[1].BuildID[:8])+".json")
	old := *records[1]
	old.Changelog = nil
	var text bytes.Buffer
	if err := old.Encode(&text); err != nil {
		t.Fatal(err)
	}
	l.writeTo(name, text.Bytes())
	l.download("demo")
	if records, err = ReadRecords(l.project); err != nil || len(records[1].Fixes()) != 1 {
		t.Errorf("an old record after download: %v, %v", records[1].Fixes(), err)
	}
}

func FuzzMentions(f *testing.F) {
	for _, s := range []string{"- Fix CVE-2022-37434\n", "* a\n  - b\n + CVE-2022-1234\n\nx", "\xff CVE-2000-0001", strings.Repeat(" - \n", 20), "\t*\t\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range mentions(text) {
			if !slices.Equal(cveNames(m.CVE), []string{m.CVE}) {
				t.Errorf("%q is no CVE", m.CVE)
			}
			if len(m.Text) > elfinfo.MaxMentionText || strings.ContainsAny(m.Text, "\x00\x1b\n") || !utf8.ValidString(m.Text) {
				t.Errorf("text %q", m.Text)
			}
		}
	})
}
