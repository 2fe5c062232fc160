package livepatch

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseDescription(t *testing.T) {
	d := parse(t, "! first\n\nlib/p.so\n*base/p0.ulp\n*p1.ulp\n@/lib64/libc.so.6\n!\tsecond\n"+
		"__libc_malloc:malloc_lp\nfree@arena.c:free_lp\n_ZL4normPd:_Z8norm3_lpPd:40122e\n"+
		"#narenas@arena.c:ulpr_narenas\n#%tcache:ti:0:0x4030\n#%errno:ti2")
	want := &Description{
		File: "patch.dsc", Container: "lib/p.so", Target: "/lib64/libc.so.6",
		ContainerPos: Pos{3, 1}, TargetPos: Pos{6, 2},
		Depends: []string{"base/p0.ulp", "p1.ulp"}, Comments: []string{" first", "\tsecond"},
		Units: []Unit{
			{Old: "__libc_malloc", New: "malloc_lp", Pos: Pos{8, 1}},
			{Old: "free", Source: "arena.c", New: "free_lp", Pos: Pos{9, 1}},
			{Old: "_ZL4normPd", New: "_Z8norm3_lpPd", Pos: Pos{10, 1}},
		},
		References: []Reference{
			{Target: "narenas", Source: "arena.c", Reference: "ulpr_narenas", Pos: Pos{11, 1}},
			{TLS: true, Target: "tcache", Reference: "ti", Explicit: true, PatchOffset: 0x4030, Pos: Pos{12, 1}},
			{TLS: true, Target: "errno", Reference: "ti2", Pos: Pos{13, 1}},
		},
		Warnings: []SyntaxError{{"patch.dsc", 10, 26, "third field has no meaning and is ignored", "_ZL4normPd:_Z8norm3_lpPd:40122e"}},
	}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreUnexported(Description{})); diff != "" {
		t.Error(diff)
	}
	names := []string{"__libc_malloc", "free@arena.c", "_ZL4normPd", "narenas@arena.c", "tcache", "errno"}
	if diff := cmp.Diff(names, d.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	d := parse(t, "p.so\n@t\nb:x\na:y\n#b:r\n#given:s:10:20\n#zero:u:0:20\n#a@f.c:v\n")
	if diff := cmp.Diff([]string{"b", "a", "zero", "a@f.c"}, d.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestBytesHasBareFileNames(t *testing.T) {
	d := parse(t, "/home/me/p.so\n*../base.ulp\n! why\n@/lib64/libc.so.6\n#%a:b:0x0010:00\nf@g.c:h:zz\n")
	want := "! why\np.so\n*base.ulp\n@libc.so.6\nf@g.c:h\n#%a:b:10:0\n"
	if got := string(d.Bytes()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseDescriptionRefuses(t *testing.T) {
	const head = "p.so\n@/lib64/t.so.1\n"
	for _, tt := range []struct {
		name, src, want string
	}{
		{"empty", "", "1:1: empty"},
		{"only comments", "! a\n! b\n", "2:1: empty"},
		{"no target", "p.so\n! x\n", "2:1: no target line"},
		{"nothing to do", head, "2:1: neither a function"},
		{"unit before target", "p.so\nf:g\n@t\n", "2:1: target line (@PATH) expected"},
		{"reference before target", "p.so\n#f:g\n@t\n", "2:1: target line (@PATH) expected"},
		{"two targets", head + "f:g\n@u\n", "4:1: second target; a patch has one target, given in line 2"},
		{"target without path", "p.so\n@\nf:g\n", "2:2: file name missing"},
		{"target is a folder", "p.so\n@/lib64/\nf:g\n", "2:9: \"/lib64/\" is not the name of a file"},
		{"target is dots", "p.so\n@..\nf:g\n", "2:2: \"..\" is not the name of a file"},
		{"target with blank", "p.so\n@ t\nf:g\n", "2:2: file name begins with a blank"},
		{"container missing", "@t\nf:g\n", "1:1: the container's file name expected"},
		{"container is a folder", "build/\n@t\nf:g\n", "1:7: \"build/\" is not the name of a file"},
		{"container like a comment", "build/!p.so\n@t\nf:g\n", "1:7: the container's file name begins with \"!\""},
		{"dependency before container", "*d\np.so\n", "1:1: the container's file name expected"},
		{"dependency late", "p.so\n@t\n*d\n", "3:1: dependency not directly after"},
		{"dependency after blank line", "p.so\n\n*d\n@t\n", "3:1: dependency not directly after"},
		{"dependency without path", "p.so\n*\n", "2:2: file name missing"},
		{"no colon", head + "malloc\n", "3:7: ':' expected"},
		{"four fields", head + "a:b:c:d\n", "3:1: 4 fields"},
		{"old empty", head + ":b\n", "3:1: function to replace: name missing"},
		{"new empty", head + "a:\n", "3:3: replacement: name missing"},
		{"source empty", head + "a@:b\n", "3:3: source file after '@': name missing"},
		{"source with folder", head + "a@x/y.c:b\n", "3:4: source file with a folder"},
		{"symbol version", head + "a@@GLIBC_2.2.5:b\n", "3:3: source file after '@': name begins with \"@\""},
		{"two sources", head + "a@b.c@d.c:e\n", "3:6: source file after '@': '@' in a name"},
		{"new with source", head + "a:b@c.c\n", "3:4: replacement: '@' in a name"},
		{"blank in name", head + "a: b\n", "3:3: replacement: ' ' in a name"},
		{"same function twice", head + "a:b\na:c\n", "4:1: a is replaced twice, first in line 3"},
		{"same source twice", head + "a@f.c:b\na@f.c:c\n", "4:1: a is replaced twice"},
		{"bare after source", head + "a@f.c:b\na:c\n", "4:1: a is replaced twice"},
		{"source after bare", head + "a:b\na@f.c:c\n", "4:1: a is replaced twice"},
		{"reference of one field", head + "#a\n", "3:1: 1 fields; a reference has two or four"},
		{"reference of three fields", head + "#a:b:c\n", "3:1: 3 fields"},
		{"reference of five fields", head + "#a:b:1:2:3\n", "3:1: 5 fields"},
		{"reference target empty", head + "#:b\n", "3:2: target symbol: name missing"},
		{"reference variable empty", head + "#%a:\n", "3:5: reference variable: name missing"},
		{"two percent signs", head + "#%%a:b\n", "3:3: target symbol: name begins with \"%\""},
		{"variable twice", head + "#a:v\n#b:v\n", "4:4: v receives two references"},
		{"bad target offset", head + "#a:b:xyz:1\n", "3:6: bad hexadecimal offset \"xyz\""},
		{"bad patch offset", head + "#a:b:1:__PATCH_OFFSET__\n", "3:8: bad hexadecimal offset"},
		{"offset empty", head + "#a:b::1\n", "3:6: bad hexadecimal offset \"\""},
		{"offset negative", head + "#a:b:-1:1\n", "3:6: bad hexadecimal offset"},
		{"offset too large", head + "#a:b:ffffffffffffffff:1\n", "3:6: bad hexadecimal offset"},
		{"CR LF", "p.so\r\n@t\r\n", "1:5: carriage return"},
		{"blank line of blanks", head + "  \n", "3:1: blank at the start"},
		{"leading blank", head + " a:b\n", "3:1: blank at the start"},
		{"trailing blank", "p.so  \n@t\na:b\n", "1:5: blank at the end"},
		{"tab", head + "a:b\t\n", "3:4: control character 0x09"},
		{"NUL", head + "a:b\x00\n", "3:4: control character 0x00"},
		{"not UTF-8", head + "a:b\xff\n", "3:4: not UTF-8"},
		{"byte order mark", "\ufeffp.so\n", "1:1: byte order mark"},
		{"long line", "p.so\n!" + strings.Repeat("x", maxLine) + "\n", "2:4097: line longer than 4096 bytes"},
		{"long name", head + strings.Repeat("x", maxName+1) + ":b\n", "3:1025: function to replace: name longer"},
		{"long file", strings.Repeat("!\n", MaxDescription/2+1), " larger than 1048576 bytes"},
		{"many references", head + manyReferences(maxItems+1), "4099:1: more than 4096 functions and references"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ParseDescription("f.dsc", []byte(tt.src))
			if err == nil {
				t.Fatalf("accepted: %+v", d)
			}
			if want := "f.dsc:" + tt.want; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%T is not a *SyntaxError", err)
			}
			lines := strings.Split(tt.src, "\n")
			if tt.name != "long line" && syntax.Line > 0 && syntax.Source != lines[syntax.Line-1] {
				t.Errorf("source %q, want %q", syntax.Source, lines[syntax.Line-1])
			}
		})
	}
}

func manyReferences(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("#t:v" + strings.Repeat("x", i/1000) + string(rune('a'+i%10)) + string(rune('a'+i/10%10)) + string(rune('a'+i/100%10)) + "\n")
	}
	return b.String()
}

func TestSeveralFunctionsOfOneName(t *testing.T) {
	d := parse(t, "p.so\n@t\ninit@a.c:init_a\ninit@b.c:init_b\n")
	if len(d.Units) != 2 {
		t.Errorf("%d functions", len(d.Units))
	}
}

func TestErrorAtShowsTheLine(t *testing.T) {
	d := parse(t, "p.so\n@t\nf:g\n")
	err := d.ErrorAt(d.Units[0].Pos, "f is too short")
	if err.Error() != "patch.dsc:3:1: f is too short" || err.Source != "f:g" {
		t.Errorf("%v, source %q", err, err.Source)
	}
}

func TestScanReferences(t *testing.T) {
	got := ScanReferences([]string{" This livepatch fixes bsc#1200316, jsc#SLE-20049, and CVE-2021-3449.", "again bsc#1200316", "CVE-2021-34490, abcbsc#1, CVE-21-3449, bsc#"})
	if diff := cmp.Diff([]string{"bsc#1200316", "jsc#SLE-20049", "CVE-2021-3449", "CVE-2021-34490"}, got); diff != "" {
		t.Error(diff)
	}
}
