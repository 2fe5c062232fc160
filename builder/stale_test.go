package builder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCacheSeesWhatIsFoundFirst: a file that was not there before decides what
// the source is, though none of the files that were read has changed.
func TestCacheSeesWhatIsFoundFirst(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, tt := range []struct {
		name, source string
		flags        []string
		change       func(dir string)
	}{
		{"a header beside the source", "#include \"step.h\"\n", []string{"-I", second}, func(dir string) {
			writeFile(t, filepath.Join(dir, "step.h"), "#define STEP 2\n")
		}},
		{"a header in a folder before", "#include <step.h>\n", []string{"-I", first, "-I" + second}, func(string) {
			writeFile(t, filepath.Join(first, "step.h"), "#define STEP 2\n")
		}},
		{"a header that is asked for", "#include <step.h>\n#if __has_include(\"more.h\")\n#undef STEP\n#include \"more.h\"\n#endif\n", []string{"-iquote", first, "-I", second},
			func(string) { writeFile(t, filepath.Join(first, "more.h"), "#define STEP 3\n") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			writeFile(t, filepath.Join(second, "step.h"), "#ifndef STEP\n#define STEP 1\n#endif\n")
			if err := os.RemoveAll(filepath.Join(first, "step.h")); err != nil {
				t.Fatal(err)
			}
			p, o := project(t, tt.source+"int f(int x) { return x + STEP; }\n", "fix.so\n@libgreet.so.1\ngreet:f\n")
			o.Flags = tt.flags
			before := digest(readFile(t, mustMake(t, p, greetRecords(t)[:1], o)[0].Container))
			tt.change(p.Dir)
			out := mustMake(t, p, greetRecords(t)[:1], o)[0]
			fresh := o
			fresh.CacheDir, fresh.OutDir = t.TempDir(), t.TempDir()
			want := digest(readFile(t, mustMake(t, p, greetRecords(t)[:1], fresh)[0].Container))
			if want == before {
				t.Fatal("the change makes no difference")
			}
			if out.Cached || digest(readFile(t, out.Container)) != want {
				t.Errorf("an old container: cached %v", out.Cached)
			}
		})
	}
}

// TestAssemblerReadsFiles: what the assembler includes is in no rule of the
// preprocessor.
func TestAssemblerReadsFiles(t *testing.T) {
	p, o := project(t, "__asm__(\".include \\\"step.s\\\"\");\nextern const int step;\nint f(int x) { return x + step; }\n", "fix.so\n@libgreet.so.1\ngreet:f\n")
	file := filepath.Join(p.Dir, "step.s")
	text := ".section .rodata\n.globl step\n.hidden step\nstep: .long %d\n.text\n"
	writeFile(t, file, fmt.Sprintf(text, 1))
	builds := greetRecords(t)[:1]
	before := digest(readFile(t, mustMake(t, p, builds, o)[0].Container))
	writeFile(t, file, fmt.Sprintf(text, 2))
	if out := mustMake(t, p, builds, o)[0]; out.Cached || digest(readFile(t, out.Container)) == before {
		t.Errorf("cached %v, with the old file", out.Cached)
	}
}

// TestAssemblerOfAnotherFolder: the compiler runs the assembler that is first
// in PATH.
func TestAssemblerOfAnotherFolder(t *testing.T) {
	need(t, "gcc", "as")
	as, err := exec.LookPath("as")
	if err != nil {
		t.Fatal(err)
	}
	p, o := project(t, greetSource, greetTemplate)
	builds := greetRecords(t)[:1]
	mustMake(t, p, builds, o)
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script(t, filepath.Join(dir, "as"), "echo as >>"+log+"\nexec "+as+" \"$@\"\n")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if out, err := exec.Command("gcc", "-print-prog-name=as").Output(); err != nil || filepath.IsAbs(string(out)) {
		t.Skipf("this compiler does not look for its assembler in PATH: %s%v", out, err)
	}
	mustMake(t, p, builds, o)
	if _, err := os.Stat(log); err != nil {
		t.Error("what another assembler made is taken for what this one makes")
	}
}
