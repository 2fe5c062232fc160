package injector

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseMaps(t *testing.T) {
	for _, tt := range []struct {
		name string
		line string
		want mapping
	}{
		{
			"code", "7f0000001000-7f0000003000 r-xp 00001000 fe:01 123                        /lib/x.so",
			mapping{start: 0x7f0000001000, end: 0x7f0000003000, read: true, exec: true, offset: 0x1000,
				major: 0xfe, minor: 1, inode: 123, path: "/lib/x.so"},
		},
		{
			"deleted", "1000-2000 rw-s 00000000 00:05 9 /a b (deleted)",
			mapping{start: 0x1000, end: 0x2000, read: true, write: true, shared: true, minor: 5, inode: 9, path: "/a b", deleted: true},
		},
		{
			"newline", `1000-2000 r--p 00000000 00:05 9    /a\012b`,
			mapping{start: 0x1000, end: 0x2000, read: true, minor: 5, inode: 9, path: `/a\012b`},
		},
		{
			"anonymous", "1000-2000 ---p 00000000 00:00 0 ",
			mapping{start: 0x1000, end: 0x2000},
		},
		{
			"named without file", "1000-2000 r-xp 00000000 00:00 0    [vdso] (deleted)",
			mapping{start: 0x1000, end: 0x2000, read: true, exec: true, path: "[vdso] (deleted)"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMaps(strings.NewReader(tt.line + "\n"))
			if err != nil || len(got) != 1 || got[0] != tt.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseMapsRefusals(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"empty line", "\n"},
		{"no end", "1000 r-xp 0 00:00 0\n"},
		{"not hexadecimal", "1000-20g0 r-xp 0 00:00 0\n"},
		{"end before start", "2000-1000 r-xp 0 00:00 0\n"},
		{"short protection", "1000-2000 r-x 0 00:00 0\n"},
		{"no device", "1000-2000 r-xp 0 0000 0\n"},
		{"negative inode", "1000-2000 r-xp 0 00:00 -1\n"},
		{"address of 65 bits", "1000-10000000000000000 r-xp 0 00:00 0\n"},
		{"endless line", "1000-2000 r-xp 0 00:00 0 /" + strings.Repeat("x", maxMapsLine) + "\n"},
		{"too many", strings.Repeat("1000-2000 r-xp 0 00:00 0\n", maxMappings+1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parseMaps(strings.NewReader(tt.text)); err == nil {
				t.Errorf("accepted as %+v", got)
			}
		})
	}
	_, err := parseMaps(strings.NewReader("1000-3000 r-xp 0 00:00 0\n2000-4000 r-xp 0 00:00 0\n"))
	if !errors.Is(err, errMapsChanged) {
		t.Errorf("mappings that overlap give %v", err)
	}
}

// A process may map a file with any name: none of it may be taken for the
// fields of another line.
func TestHostileFileName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x\n1000-2000 rwxp 00000000 00:00 0 [stack] (deleted)")
	if err := os.WriteFile(name, make([]byte, 4096), 0o755); err != nil {
		t.Fatal(err)
	}
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	at := tg.address("map %s", link)
	p := hold(t, tg.pid)
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := findMapping(maps, at)
	if !ok || !strings.HasSuffix(m.path, `x\0121000-2000 rwxp 00000000 00:00 0 [stack]`) {
		t.Errorf("the file is shown as %q", m.path)
	}
	if _, ok := findMapping(maps, 0x1000); ok {
		t.Error("the file's name made a mapping")
	}
	if _, err := testInjector(t).objects(p, maps); err != nil {
		t.Errorf("a file that is not ELF: %v", err)
	}
}

func FuzzParseMaps(f *testing.F) {
	own, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		f.Fatal(err)
	}
	seeds := []string{
		string(own), "", "1000-2000 r-xp 00000000 00:00 0\n", "a-b", "1000-2000 r-xp 0 0:0 0 /x (deleted)\n",
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n",
	}
	if len(own) == 0 {
		f.Fatal("no seed")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		maps, err := parseMaps(strings.NewReader(text))
		if err != nil {
			return
		}
		for i, m := range maps {
			if m.start >= m.end || i > 0 && m.start < maps[i-1].end {
				t.Fatalf("mapping %d of %+v is out of order", i, maps)
			}
			if got, ok := findMapping(maps, m.end-1); !ok || got != m {
				t.Fatalf("findMapping(%#x) = %+v, %v", m.end-1, got, ok)
			}
		}
	})
}
