package e2e

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// askedSource answers every byte on its input with a line: "20 " for build 1.0,
// and what greet says if the byte is a g.
const askedSource = `
#include <stdio.h>
#include <unistd.h>
extern const char *greet(void);
extern long greet_answer(long);
int main(void)
{
	char c;
	while (read(0, &c, 1) == 1)
		dprintf(1, "%ld %s\n", greet_answer(1), c == 'g' ? greet() : "");
	return 0;
}
`

// A target is a running process that answers when asked.
type target struct {
	t      *testing.T
	pid    int
	input  io.Writer
	output *bufio.Reader
}

// library is the unpacked library of a version.
func (l *lab) library(version string) (*elfinfo.Build, string) {
	l.t.Helper()
	records, err := versions.ReadRecords(l.project)
	if err != nil {
		l.t.Fatal(err)
	}
	store, err := versions.OpenStore(l.cache + "/lpbuild")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, b := range records {
		if strings.Contains(b.NEVRA, "-"+version+"-") {
			file, err := store.Library(b)
			if err != nil {
				l.t.Fatal(err)
			}
			return b, file
		}
	}
	l.t.Fatalf("no build %s", version)
	return nil, ""
}

// launch starts a target on a library file and returns when it is up. The
// target has not called greet then.
func (l *lab) launch(library []byte) *target {
	l.t.Helper()
	dir := l.t.TempDir()
	soname := filepath.Join(dir, "libgreet.so.1")
	writeFile(l.t, soname, string(library))
	program := filepath.Join(dir, "asked")
	writeFile(l.t, program+".c", askedSource)
	tool(l.t, "gcc", "-o", program, program+".c", soname, "-Wl,-rpath,"+dir)
	tg := start(l.t, exec.Command(program))
	tg.ask('a')
	return tg
}

// start starts a program that ends with the test.
func start(t *testing.T, cmd *exec.Cmd) *target {
	t.Helper()
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &target{t: t, pid: cmd.Process.Pid, input: input, output: bufio.NewReader(output)}
}

// ask sends one byte and returns the line that comes back.
func (tg *target) ask(b byte) string {
	tg.t.Helper()
	if _, err := tg.input.Write([]byte{b}); err != nil {
		tg.t.Fatal(err)
	}
	line, err := tg.output.ReadString('\n')
	if err != nil {
		tg.t.Fatalf("pid %d: %v", tg.pid, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// executable describes all executable memory: where it is and what it holds.
func (tg *target) executable() string {
	tg.t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", tg.pid))
	if err != nil {
		tg.t.Fatal(err)
	}
	defer mem.Close()
	var text strings.Builder
	for line := range strings.Lines(procFile(tg.pid, "maps")) {
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			tg.t.Fatal(err)
		}
		if !strings.Contains(line, "x") || !strings.Contains(strings.Fields(line)[1], "x") || strings.Contains(line, "[vsyscall]") {
			continue
		}
		code := make([]byte, to-from)
		if _, err := mem.ReadAt(code, int64(from)); err != nil {
			tg.t.Fatalf("%s: %v", line, err)
		}
		fmt.Fprintf(&text, "%s%x\n", line, code)
	}
	return text.String()
}

// undisturbed checks that nobody traces or has stopped the process.
func (tg *target) undisturbed() {
	tg.t.Helper()
	for line := range strings.Lines(procFile(tg.pid, "status")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if key == "TracerPid" && value != "0" || key == "State" && strings.ContainsAny(value[:1], "tTZX") {
			tg.t.Errorf("pid %d: %s", tg.pid, line)
		}
	}
}

// address is where the process has the function greet.
func (tg *target) address(b *elfinfo.Build) int64 {
	tg.t.Helper()
	f, err := b.Function("greet")
	if err != nil {
		tg.t.Fatal(err)
	}
	for line := range strings.Lines(procFile(tg.pid, "maps")) {
		if strings.Contains(line, "libgreet") {
			start, err := strconv.ParseInt(line[:strings.IndexByte(line, '-')], 16, 64)
			if err != nil {
				tg.t.Fatal(err)
			}
			return start + int64(f.Address) // its first segment begins at address 0
		}
	}
	tg.t.Fatalf("pid %d maps no libgreet", tg.pid)
	return 0
}

// lastByte is the file offset of the last byte of greet in a library file.
func lastByte(t *testing.T, file string, b *elfinfo.Build) uint64 {
	t.Helper()
	f, err := b.Function("greet")
	if err != nil {
		t.Fatal(err)
	}
	e, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	at := f.Address + f.Size - 1
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD && at >= p.Vaddr && at < p.Vaddr+p.Filesz {
			return at - p.Vaddr + p.Off
		}
	}
	t.Fatalf("%s: %#x is in no segment", file, at)
	return 0
}

// Programs that write a newline and then pause, without any library.
const (
	program64 = " mov $1,%eax\n mov $1,%edi\n mov $newline,%esi\n mov $1,%edx\n syscall\n" +
		"1: mov $34,%eax\n syscall\n jmp 1b\n"
	program32 = " mov $4,%eax\n mov $1,%ebx\n mov $newline,%ecx\n mov $1,%edx\n int $0x80\n" +
		"1: mov $29,%eax\n int $0x80\n jmp 1b\n"
)

// assembled starts a program for so many bits and returns when it is up.
func assembled(t *testing.T, bits string) *target {
	t.Helper()
	needs(t, "as", "ld")
	source, format := program64, "elf_x86_64"
	if bits == "32" {
		source, format = program32, "elf_i386"
	}
	name := filepath.Join(t.TempDir(), "program"+bits)
	writeFile(t, name+".s", ".globl _start\n_start:\n"+source+
		".data\nnewline: .byte 10\n.section .note.GNU-stack,\"\",@progbits\n")
	tool(t, "as", "--"+bits, "-o", name+".o", name+".s")
	tool(t, "ld", "-m", format, "-o", name, name+".o")
	tg := start(t, exec.Command(name))
	if line, err := tg.output.ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return tg
}

// nobody makes a command run without any right.
func nobody(cmd *exec.Cmd) {
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: false}
}
