package rpmfile

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/rpmpack"
)

// TestRealChangelog reads what the real rpmbuild writes.
func TestRealChangelog(t *testing.T) {
	t.Parallel()
	need(t, "rpmbuild")
	dir := t.TempDir()
	spec := filepath.Join(dir, "lab.spec")
	const text = `Name: lab
Version: 1
Release: 1
Summary: lab
License: MIT
BuildArch: noarch
%description
lab
%files
%changelog
* Thu Oct 13 2022 Jane Doe <jane@example.org> 1-1
- Fix CVE-2022-37434
  by looking twice

* Mon Jan 03 2022 Jane Doe <jane@example.org> 0-1
- First
`
	if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpmbuild", "-bb", "--define", "_topdir "+dir, spec)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, err := Open(filepath.Join(dir, "RPMS/noarch/lab-1-1.noarch.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	got, err := p.Changelog(10)
	want := []ChangelogEntry{
		{time.Date(2022, 10, 13, 12, 0, 0, 0, time.UTC), "Jane Doe <jane@example.org> 1-1", "- Fix CVE-2022-37434\n  by looking twice"},
		{time.Date(2022, 1, 3, 12, 0, 0, 0, time.UTC), "Jane Doe <jane@example.org> 0-1", "- First"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := p.Changelog(1); err != nil || len(got) != 1 || got[0].Time != want[0].Time {
		t.Errorf("the newest entry: %+v, %v", got, err)
	}
}

// TestBadChangelog: arrays of different lengths, or of other types, are refused.
func TestBadChangelog(t *testing.T) {
	t.Parallel()
	two := rpmpack.EntryStringSlice([]string{"a", "b"})
	for name, tags := range map[string]map[int]rpmpack.IndexEntry{
		"fewer times":  {tagChangelogTime: rpmpack.EntryInt32([]int32{1}), tagChangelogName: two, tagChangelogText: two},
		"no texts":     {tagChangelogTime: rpmpack.EntryInt32([]int32{2, 1}), tagChangelogName: two},
		"text as time": {tagChangelogTime: two, tagChangelogName: two, tagChangelogText: two},
		"time as text": {tagChangelogTime: rpmpack.EntryInt32([]int32{2, 1}), tagChangelogName: two, tagChangelogText: rpmpack.EntryInt32([]int32{2, 1})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "lab", Version: "1", Release: "1", Arch: "x86_64"})
			if err != nil {
				t.Fatal(err)
			}
			for tag, e := range tags {
				r.AddCustomTag(tag, e)
			}
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			if got, err := open(t, b.Bytes()).Changelog(10); !errors.Is(err, ErrFormat) {
				t.Errorf("%+v, %v, want ErrFormat", got, err)
			}
		})
	}
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "lab", Version: "1", Release: "1", Arch: "x86_64"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, b.Bytes()).Changelog(10); len(got) != 0 || err != nil {
		t.Errorf("without a changelog: %+v, %v", got, err)
	}
}
