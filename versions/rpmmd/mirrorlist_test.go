package rpmmd

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestParseMirrorlist(t *testing.T) {
	got, err := ParseMirrorlist([]byte(`# repo = updates arch = x86_64 country = DE
https://one.example/linux/updates/
  https://two.example/updates/repodata/repomd.xml

rsync://three.example/updates/
ftp://four.example/
https://me:secret@five.example/
http://six.example/$releasever/
https://one.example/linux/updates
not a url
file:///srv/mirror
` + "https://seven.example/a%20b/\r\n"))
	want := []string{"https://one.example/linux/updates", "https://two.example/updates", "file:///srv/mirror", "https://seven.example/a%20b"}
	if err != nil || !slices.Equal(got.Mirrors, want) {
		t.Errorf("%+v, %v; want %q", got, err, want)
	}
	for name, src := range map[string]string{
		"empty": "", "comments": "# no mirrors for this repository\n", "HTML": "<html><body>404</body></html>",
		"long": strings.Repeat("#", maxMirrorlist+1),
	} {
		if got, err := ParseMirrorlist([]byte(src)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v; want ErrFormat", name, got, err)
		}
	}
}

// someMetalink4 is in the shape of RFC 5854.
const someMetalink4 = `<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink"><generator>MirrorCache</generator>
<file name="repomd.xml"><size>10</size><hash type="md5">x</hash><hash type="sha-256">` + someSum + `</hash>
<url location="fr" priority="2">https://two.example/repodata/repomd.xml</url>
<url location="de" priority="1">https://one.example/repodata/repomd.xml</url>
<url location="de" priority="3">https://three.example/other.xml</url>
</file></metalink>`

func TestParseMetalink(t *testing.T) {
	old := new(lab)
	src := old.metalink([]byte("current"), [][]byte{[]byte("old"), []byte("older")}, "https://one.example", "rsync://x", "https://two.example/y")
	got, err := ParseMetalink([]byte(src))
	if err != nil || !slices.Equal(got.Mirrors, []string{"https://one.example", "https://two.example/y"}) || len(got.Revisions) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, content := range []string{"current", "old", "older"} {
		if v := got.Revisions[i]; !v.matches([]byte(content)) || v.matches([]byte(content+".")) || len(v.Checksums) != 2 {
			t.Errorf("revision %d: %+v is not %q", i, v, content)
		}
	}
	got, err = ParseMetalink([]byte(someMetalink4))
	want := "[https://one.example https://two.example] [{1970-01-01 00:00:00 +0000 UTC 10 [sha256:" + someSum + "]}]"
	if err != nil || fmt.Sprint(got.Mirrors, got.Revisions) != want {
		t.Errorf("%+v, %v; want %s", got, err, want)
	}
}

func TestParseMetalinkRefuses(t *testing.T) {
	replace := func(from, to string) string {
		out := strings.Replace(someMetalink4, from, to, 1)
		if out == someMetalink4 {
			t.Fatalf("no %q", from)
		}
		return out
	}
	for name, src := range map[string]string{
		"weak digests alone": replace("sha-256", "sha-1"),
		"short digest":       replace(someSum, someSum[2:]),
		"no digest":          replace(`<hash type="md5">x</hash><hash type="sha-256">`+someSum+`</hash>`, ""),
		"another file":       replace(`name="repomd.xml"`, `name="primary.xml"`),
		"no mirror":          strings.ReplaceAll(someMetalink4, "https:", "ftp:"),
		"large file":         replace("<size>10<", "<size>99999999999<"),
		"negative size":      replace("<size>10<", "<size>-7<"),
		"twice":              replace("</file>", "</file>"+`<file name="repomd.xml"></file>`),
		"many digests":       replace("</size>", "</size>"+strings.Repeat(`<hash type="md5">x</hash>`, maxHashes)),
		"entity":             replace("<generator>", "<!DOCTYPE x [<!ENTITY a \"b\">]><generator>&a;"),
		"truncated":          someMetalink4[:len(someMetalink4)/2],
		"a mirror list":      "https://one.example/\n",
	} {
		if got, err := ParseMetalink([]byte(src)); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v, %v; want ErrFormat", name, got, err)
		}
	}
}

func FuzzParseMirrorlist(f *testing.F) {
	f.Add([]byte("# x\nhttps://one.example/a/repodata/repomd.xml\nrsync://two.example\n"))
	f.Add([]byte(someMetalink4))
	f.Add([]byte(new(lab).metalink([]byte("a"), [][]byte{[]byte("b")}, "https://one.example")))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseMirrorlist(data)
		if err != nil {
			return
		}
		if len(list.Mirrors) == 0 || len(list.Mirrors) > maxMirrors || len(list.Revisions) > maxRevisions+1 {
			t.Errorf("%d mirrors, %d revisions", len(list.Mirrors), len(list.Revisions))
		}
		for _, m := range list.Mirrors {
			u, err := url.Parse(m)
			if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file" {
				t.Errorf("mirror %q, %v", m, err)
			}
		}
		for _, v := range list.Revisions {
			if len(v.Checksums) == 0 || v.Size > maxRepomd {
				t.Errorf("%+v", v)
			}
		}
	})
}
