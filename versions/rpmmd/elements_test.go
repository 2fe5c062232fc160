package rpmmd

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// children is what eachElement finds, with the text of each child.
func children(r io.Reader) (string, error) {
	var b strings.Builder
	err := eachElement(r, "r", func(name string, raw []byte) error {
		fmt.Fprintf(&b, "%s=%s;", name, raw)
		return nil
	})
	return b.String(), err
}

func TestEachElement(t *testing.T) {
	const doc = `<?xml version="1.0"?><!-- <r> > --><x:r a=">" b='"'>text<a/>` +
		`<!-- <b> --><b c="</b>">one<![CDATA[</b>]]><b x='/>'/><b></b>two</b ><?p <c> ?><n:c d="/"  />` + "\n</x:r>garbage"
	const want = `a=<a/>;b=<b c="</b>">one<![CDATA[</b>]]><b x='/>'/><b></b>two</b >;c=<n:c d="/"  />;`
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(doc), "in bytes": iotest.OneByteReader(strings.NewReader(doc))} {
		if got, err := children(r); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	end := strings.Index(doc, "garbage")
	for n := range end {
		if _, err := children(strings.NewReader(doc[:n])); err == nil {
			t.Fatalf("cut after %q and accepted", doc[:n])
		}
	}
}

// endlessly repeats a text.
type endlessly string

func (e endlessly) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[i%len(e)]
	}
	return len(p), nil
}

// What would take a parser's memory away is refused before it does.
func TestXMLBombs(t *testing.T) {
	head := `<?xml version="1.0"?><metadata><package type="rpm">`
	for name, doc := range map[string]io.Reader{
		"entities":        strings.NewReader(`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><metadata><package>&b;</package></metadata>`),
		"external entity": strings.NewReader(`<!DOCTYPE metadata SYSTEM "file:///etc/passwd"><metadata></metadata>`),
		"unknown entity":  strings.NewReader(strings.Replace(primaryXML(packageXML("glibc", "x.rpm")), "<summary>", "<summary>&bomb;", 1)),
		"depth":           io.MultiReader(strings.NewReader(head), endlessly("<a>")),
		"attribute":       io.MultiReader(strings.NewReader(head+`<a b="`), endlessly("x")),
		"attributes":      io.MultiReader(strings.NewReader(head+`<a`), endlessly(` b="c"`)),
		"text":            io.MultiReader(strings.NewReader(head), endlessly("x")),
		"siblings":        io.MultiReader(strings.NewReader(head), endlessly("<a/>")),
		"comment":         io.MultiReader(strings.NewReader(head+"<!--"), endlessly("x")),
		"name of a tag":   io.MultiReader(strings.NewReader("<"), endlessly("x")),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			packages, err := ParsePrimary(doc, all)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrFormat) || packages != nil {
				t.Errorf("%v, %v; want ErrFormat", packages, err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 3*maxElement {
				t.Errorf("%d bytes allocated", n)
			}
		})
	}
}

// Compressed metadata that unpacks to more than it may is refused, whether or
// not repomd.xml owns up to it.
func TestCompressionBombs(t *testing.T) {
	for name, compress := range map[string]func([]byte) []byte{"gz": gz, "xz": xzip, "zst": zst} {
		l := newLab(t, plain)
		open := []byte(strings.Replace(primaryXML(), "</metadata>", strings.Repeat(" ", maxPlainOpen+1<<20)+"</metadata>", 1))
		bomb := compress(open)
		l.write(t, "repodata/primary", bomb)
		owning := l.repomd(open, bomb, len(open))
		for kind, repomd := range map[string]string{
			"announced": owning,
			"denied":    strings.Replace(owning, fmt.Sprintf("<open-size>%d", len(open)), "<open-size>1000", 1),
			"silent":    strings.Replace(owning, fmt.Sprintf("<open-size>%d</open-size>", len(open)), "", 1),
		} {
			l.sign(t, repomd)
			packages, err := l.open(t, l.dir, Options{}).Packages(ctx, nil, nil)
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrChecksum) || packages != nil {
				t.Errorf("%s, %s: %v, %v", name, kind, packages, err)
			}
		}
	}
}

func TestPrimaryOfRepomd(t *testing.T) {
	entry := func(kind, sumType string) string {
		return fmt.Sprintf(`<data type=%q><checksum type=%q>%s</checksum><location href="repodata/x"/></data>`, kind, sumType, someSum)
	}
	for name, tt := range map[string]struct {
		entries string
		want    error
	}{
		"zchunk and sqlite beside it": {entry("primary_zck", "sha256") + entry("primary", "sha256") + entry("primary_db", "sha256"), nil},
		"unknown digest of another":   {entry("other", "crc32") + entry("primary", "sha256"), nil},
		"several":                     {entry("primary", "sha256") + entry("primary", "sha256"), ErrFormat},
		"zchunk alone":                {entry("primary_zck", "sha256"), ErrFormat},
		"sha1":                        {entry("primary", "sha1"), ErrFormat},
		"unknown digest":              {entry("primary", "blake3"), ErrFormat},
	} {
		md, err := ParseRepomd(strings.NewReader("<repomd>" + tt.entries + "</repomd>"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := md.primary()
		if err == nil {
			err = d.Checksum.valid()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// packagesXML writes a primary.xml with many packages that nobody wants, and
// one that is wanted, without holding it in memory.
func packagesXML(t testing.TB, out io.Writer, n int) {
	t.Helper()
	w := bufio.NewWriter(out)
	fmt.Fprint(w, strings.TrimSuffix(primaryXML(), "</metadata>"))
	entry := strings.Repeat("<rpm:entry name=\"libc.so.6(GLIBC_2.34)(64bit)\"/>\n", 25)
	for i := range n {
		name := "other"
		if i == n/2 {
			name = "glibc"
		}
		p := packageXML(name, fmt.Sprintf("x86_64/%d.rpm", i))
		fmt.Fprint(w, strings.Replace(p, "<rpm:license>", "<rpm:provides>"+entry+"</rpm:provides><rpm:license>", 1))
	}
	fmt.Fprint(w, "</metadata>")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Memory does not grow with the number of packages. A process of its own
// measures it; LPBUILD_SOAK=1 makes it a million packages.
func TestManyPackages(t *testing.T) {
	if file := os.Getenv("LPBUILD_TEST_PRIMARY"); file != "" {
		d := Data{Checksum: Checksum{"sha256", os.Getenv("LPBUILD_TEST_SUM")}, Size: -1, OpenSize: -1}
		packages, err := readPrimary(file, d, matcher([]string{"glibc"}, nil))
		status, _ := os.ReadFile("/proc/self/status")
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		fmt.Printf("found %d %v %s\n", len(packages), err, strings.Fields(peak)[0])
		return
	}
	n := 20_000
	if os.Getenv("LPBUILD_SOAK") != "" {
		n = 1_000_000
	}
	file := filepath.Join(t.TempDir(), "primary.xml")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	packagesXML(t, f, n)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sha256sum", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestManyPackages$")
	cmd.Env = append(os.Environ(), "LPBUILD_TEST_PRIMARY="+file, "LPBUILD_TEST_SUM="+string(out[:64]))
	answer, err := cmd.Output()
	var found, peak int
	var perr string
	if _, serr := fmt.Sscanf(string(answer), "found %d %s %d", &found, &perr, &peak); serr != nil || err != nil || found != 1 || perr != "<nil>" {
		t.Fatalf("%v, %v: %s", err, serr, answer)
	}
	t.Logf("%d packages: at most %d KiB", n, peak)
	if peak > 100<<10 {
		t.Errorf("%d KiB for %d packages", peak, n)
	}
}

func BenchmarkParsePrimary(b *testing.B) {
	var doc bytes.Buffer
	packagesXML(b, &doc, 2000)
	b.SetBytes(int64(doc.Len()))
	for b.Loop() {
		if packages, err := ParsePrimary(bytes.NewReader(doc.Bytes()), matcher([]string{"glibc"}, nil)); err != nil || len(packages) != 1 {
			b.Fatal(packages, err)
		}
	}
}

// Whatever encoding/xml takes for the children of the root are the children,
// if eachElement accepts the document.
func FuzzEachElement(f *testing.F) {
	f.Add([]byte("<r>" + packageXML("glibc", "x.rpm") + "<a b='>'/></r>"))
	f.Add([]byte(`<?xml version="1.0"?><!-- <r> --><r><a><![CDATA[</a>]]></a><b/></r>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []string
		err := eachElement(bytes.NewReader(data), "r", func(name string, raw []byte) error {
			got = append(got, name)
			if len(raw) == 0 || raw[0] != '<' || raw[len(raw)-1] != '>' {
				t.Errorf("child %q", raw)
			}
			return nil
		})
		if err != nil {
			return
		}
		var want []string
		d := xml.NewDecoder(bytes.NewReader(data))
		for depth := 0; ; {
			token, err := d.Token()
			if err != nil {
				return // it is stricter
			}
			switch token := token.(type) {
			case xml.StartElement:
				if depth++; depth == 2 {
					want = append(want, token.Name.Local)
				}
			case xml.EndElement:
				if depth--; depth == 0 {
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("children %q, want %q", got, want)
					}
					return
				}
			}
		}
	})
}
