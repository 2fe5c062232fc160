package rpmmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

const someSum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func packageXML(name, location string) string {
	return fmt.Sprintf(`<package type="rpm"><name>%s</name><arch>x86_64</arch>
<version epoch="1" ver="2.31" rel="150300.63.1"/><checksum type="sha256" pkgid="YES">%s</checksum>
<summary>lib &amp; more</summary><time file="2" build="1700000000"/><size package="10" installed="20" archive="30"/>
<location href=%q/><format><rpm:license>x</rpm:license></format></package>`, name, someSum, location)
}

func primaryXML(packages ...string) string {
	return `<?xml version="1.0"?><metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="9">` +
		strings.Join(packages, "") + `</metadata>`
}

func all(string, string) bool { return true }

func TestParsePrimary(t *testing.T) {
	doc := primaryXML(packageXML("glibc", "x86_64/glibc%5E1.rpm"), packageXML("other", "../evil.rpm"))
	got, err := ParsePrimary(strings.NewReader(doc), matcher([]string{"glibc"}, []string{"x86_64"}))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	p := got[0]
	if p.NEVRA.String() != "glibc-1:2.31-150300.63.1.x86_64" || p.Location != "x86_64/glibc^1.rpm" || p.Size != 10 ||
		p.Checksum != (Checksum{"sha256", someSum}) || p.BuildTime.Unix() != 1700000000 {
		t.Errorf("%+v", p)
	}
}

func TestParsePrimaryRefuses(t *testing.T) {
	glibc := packageXML("glibc", "glibc.rpm")
	for _, tt := range []struct {
		name, doc string
		want      error
	}{
		{name: "up", doc: primaryXML(packageXML("g", "../g.rpm")), want: ErrUnsafePath},
		{name: "up, escaped", doc: primaryXML(packageXML("g", "x/%2e%2e/%2e%2e/g.rpm")), want: ErrUnsafePath},
		{name: "absolute", doc: primaryXML(packageXML("g", "/etc/passwd")), want: ErrUnsafePath},
		{name: "other scheme", doc: primaryXML(packageXML("g", "file:///etc/passwd")), want: ErrUnsafePath},
		{name: "control character", doc: primaryXML(packageXML("g", "a%00b")), want: ErrUnsafePath},
		{name: "empty", doc: primaryXML(packageXML("g", "")), want: ErrUnsafePath},
		{name: "xml:base", doc: strings.Replace(primaryXML(glibc), `<location `, `<location xml:base="http://evil.example/" `, 1), want: ErrUnsafePath},
		{name: "weak checksum", doc: strings.Replace(primaryXML(glibc), `type="sha256"`, `type="md5"`, 1), want: ErrFormat},
		{name: "short checksum", doc: strings.Replace(primaryXML(glibc), someSum, someSum[2:], 1), want: ErrFormat},
		{name: "negative size", doc: strings.Replace(primaryXML(glibc), `package="10"`, `package="-1"`, 1), want: ErrFormat},
		{name: "hostile name", doc: primaryXML(packageXML("../../g", "g.rpm")), want: ErrFormat},
		{name: "other document", doc: "<html></html>", want: ErrFormat},
		{name: "nothing", doc: "", want: ErrFormat},
		{name: "giant element", doc: primaryXML("<package>" + strings.Repeat("x", maxElement*2) + "</package>"), want: ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := ParsePrimary(strings.NewReader(tt.doc), all); !errors.Is(err, tt.want) || got != nil {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestParsePrimaryTruncated(t *testing.T) {
	doc := primaryXML(packageXML("glibc", "glibc.rpm"))
	for n := range doc {
		if _, err := ParsePrimary(strings.NewReader(doc[:n]), all); err == nil {
			t.Fatalf("cut to %d of %d bytes and accepted", n, len(doc))
		}
	}
}

func FuzzParsePrimary(f *testing.F) {
	f.Add([]byte(primaryXML(packageXML("glibc", "glibc.rpm"))))
	f.Add([]byte(primaryXML(packageXML("glibc", "../glibc.rpm"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, err := ParsePrimary(strings.NewReader(string(data)), all)
		for _, p := range packages {
			if err != nil || strings.HasPrefix(p.Location, "/") || strings.HasPrefix(p.Location, "..") || p.NEVRA.Validate() != nil {
				t.Errorf("%+v, %v", p, err)
			}
		}
	})
}

func FuzzParseRepomd(f *testing.F) {
	f.Add([]byte(`<repomd><revision>1</revision><data type="primary"><checksum type="sha256">` + someSum +
		`</checksum><location href="repodata/primary.xml.gz"/><size>10</size><open-size>20</open-size></data></repomd>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		md, err := ParseRepomd(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		for _, d := range md.Data {
			if strings.HasPrefix(d.Href, "/") || strings.HasPrefix(d.Href, "..") || d.Size > maxMetadata {
				t.Errorf("%+v", d)
			}
		}
	})
}
