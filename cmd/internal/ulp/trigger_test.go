package ulp

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	patched1 = "{time} ulp: Processes patched: 1, Skipped: 0, Failed: 0.\n"
	skipped1 = "{time} ulp: Processes patched: 0, Skipped: 1, Failed: 0.\n"
	failed1  = "{time} ulp: Processes patched: 0, Skipped: 0, Failed: 1.\n"
)

// What libpulp 0.3.17 was seen to say, except where docs/ulp.md says otherwise.
func TestTrigger(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	s := l.serve()
	name := fmt.Sprintf("  ulpserv (pid: %d): ", s.pid)
	s.answers("100 12")
	l.ulp(0, "", "{time} ulp: patch not yet applied\n", "check", "-p", s.id(), "hundreds1.so")
	l.ulp(0, name+"SUCCESS hundreds1.so\n", patched1, "trigger", "-p", s.id(), "hundreds1.so")
	s.answers("200 12")
	l.ulp(1, "", "{time} ulp: patch already applied\n", "check", "-p", s.id(), "hundreds1.so")
	l.ulp(0, name+"SKIPPED Patch already applied\n", skipped1, "trigger", "-p", s.id(), "hundreds1.so")
	l.ulp(0, name+"SUCCESS hundreds1.so\n", patched1, "trigger", "--revert", "-p", s.id(), "hundreds1.so")
	s.answers("100 12")
	l.ulp(16, name+"FAILED hundreds1.so: Patch not applied\n", failed1, "trigger", "--revert", "-p", s.id(), "hundreds1.so")
	l.ulp(13, name+"FAILED /etc/passwd: No metadata in .so\n", "{time} ulp: /etc/passwd: not an ELF file: no live-patch metadata\n"+failed1,
		"trigger", "-p", s.id(), "/etc/passwd")
	l.ulp(38, "", "{time} ulp: error: user wildcard is currently unsupported in trigger\n", "trigger", "-u", "root", "hundreds1.so")
	s.answers("100 12")
}

func TestTriggerRevertAll(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	l.patch("hundreds2", "hundreds", 300)
	l.patch("dozens1", "dozens", 13)
	s := l.serve()
	name := fmt.Sprintf("  ulpserv (pid: %d): ", s.pid)
	for _, p := range []string{"hundreds1.so", "hundreds2.so", "dozens1.so"} {
		l.ulp(0, name+"SUCCESS "+p+"\n", patched1, "trigger", "-p", s.id(), p)
	}
	s.answers("300 13")
	reverted := name + "SUCCESS reverted all patches from 'libulphundreds.so.0'\n"
	l.ulp(0, reverted, patched1, "trigger", "-p", s.id(), "--revert-all=libulphundreds.so.0")
	s.answers("100 13")
	l.ulp(0, name+"SKIPPED No patches installed\n", skipped1, "trigger", "-p", s.id(), "--revert-all", "libulphundreds.so.0")
	l.ulp(0, "", skipped1, "trigger", "-p", s.id(), "--revert-all=libnone.so.0")
	l.ulp(0, name+"SUCCESS hundreds2.so\n", patched1, "trigger", "-p", s.id(), "hundreds2.so")
	// Instead of the others, in one moment.
	l.ulp(0, name+"SUCCESS hundreds1.so\n", patched1, "trigger", "-p", s.id(), "--revert-all=target", "hundreds1.so")
	s.answers("200 13")
	l.ulp(0, name+"SUCCESS reverted all patches from 'libulphundreds.so.0'\n", patched1, "trigger", "-p", s.id(), "--revert-all=/usr/lib64/libulphundreds.so.0")
	s.answers("100 13")
	// A file that is none reverts nothing.
	l.ulp(13, name+"FAILED none.so: No metadata in .so\n", "{time} ulp: open none.so: no such file or directory\n"+failed1,
		"trigger", "-p", s.id(), "--revert-all=libulpdozens.so.0", "none.so")
	s.answers("100 13")
}

func TestTriggerPatterns(t *testing.T) {
	l := newLab(t)
	for _, dir := range []string{"lp", "lp/below"} {
		if err := os.Mkdir(filepath.Join(l.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.patch("hundreds1", "hundreds", 200)
	l.patch("dozens1", "dozens", 13)
	// For another build of the library: with debug information it has another id.
	l.library("other", "-DOTHER")
	l.patch("other1", "other", 1)
	for from, to := range map[string]string{"hundreds1.so": "lp/1.so", "other1.so": "lp/2.so", "dozens1.so": "lp/below/3.so"} {
		if err := os.Rename(filepath.Join(l.dir, from), filepath.Join(l.dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(l.dir, "lp/README"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := l.serve()
	name := fmt.Sprintf("  ulpserv (pid: %d):", s.pid)
	l.ulp(0, name+" SUCCESS lp/1.so\n", patched1, "trigger", "-p", s.id(), "lp/*.so")
	s.answers("200 12")
	l.ulp(0, name+"\n    SKIPPED lp/1.so: Patch already applied\n    SKIPPED lp/2.so: Target library not loaded\n", skipped1,
		"trigger", "-p", s.id(), "--disable-summarization", "lp/*.so")
	l.ulp(0, name+"\n    SKIPPED lp/1.so: Patch already applied\n    SUCCESS lp/below/3.so\n", patched1,
		"trigger", "--recursive", "-p", s.id(), "lp/*")
	s.answers("200 13")
	l.ulp(0, name+"\n    SUCCESS lp/1.so\n    SUCCESS lp/below/3.so\n", patched1,
		"trigger", "--recursive", "--revert", "-p", s.id(), "lp/*")
	s.answers("100 12")
	l.ulp(0, "", "{time} ulp: lp/x*: No file matched wildcard\n"+skipped1, "trigger", "-p", s.id(), "lp/x*")
	l.ulp(1, "", "{time} ulp: Unable to open directory: none/\n", "trigger", "-p", s.id(), "none/*")
	// The prefix is where a chroot outside of this process has its files.
	l.ulp(0, name+" SUCCESS /lp/1.so\n", patched1, "trigger", "-p", s.id(), "-R", l.dir, "/lp/1.so")
	s.answers("200 12")
}

func TestTriggerWithoutPID(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	a, b := l.serve(), l.serve()
	lines := ""
	for _, s := range []*server{a, b} {
		lines += fmt.Sprintf("  ulpserv (pid: %d): SUCCESS hundreds1.so\n", s.pid)
	}
	// Other processes do not map this build of the library: they do not count.
	l.ulp(0, lines, "{time} ulp: Processes patched: 2, Skipped: 0, Failed: 0.\n", "trigger", "hundreds1.so")
	a.answers("200 12")
	b.answers("200 12")
	l.ulp(0, lines, "{time} ulp: Processes patched: 2, Skipped: 0, Failed: 0.\n", "trigger", "--revert", "hundreds1.so", "-r", "5")
	a.answers("100 12")
	l.ulp(0, "", "", "trigger", "-q", "hundreds1.so")
	b.answers("200 12")
	l.ulp(0, "", "", "trigger", "-p", "no-such-*", "hundreds1.so")
	l.ulp(0, "", "{time} ulp: error gathering target process information: No such process\n", "trigger", "-p", "4194999", "hundreds1.so")
	l.ulp(13, "", "{time} ulp: /etc/passwd: {any}\n", "trigger", "/etc/passwd")
}

func TestTriggerRefusesWhatOthersMayWrite(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	if err := os.Chmod(filepath.Join(l.dir, "hundreds1.so"), 0o666); err != nil {
		t.Fatal(err)
	}
	s := l.serve()
	l.ulp(1, fmt.Sprintf("  ulpserv (pid: %d): FAILED hundreds1.so: Operation not permitted\n", s.pid), "{time} ulp: {any}hundreds1.so{any}\n"+failed1,
		"trigger", "-p", s.id(), "hundreds1.so")
	s.answers("100 12")
	if err := os.Chmod(filepath.Join(l.dir, "hundreds1.so"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("hundreds1.so", filepath.Join(l.dir, "link.so")); err != nil {
		t.Fatal(err)
	}
	l.ulp(0, fmt.Sprintf("  ulpserv (pid: %d): SUCCESS link.so\n", s.pid), patched1, "trigger", "-p", s.id(), "link.so")
	l.ulp(0, fmt.Sprintf("  ulpserv (pid: %d): SUCCESS link.so\n", s.pid), patched1, "trigger", "-p", s.id(), "--revert", "link.so")
	if err := os.Lchown(filepath.Join(l.dir, "link.so"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	l.ulp(1, fmt.Sprintf("  ulpserv (pid: %d): FAILED link.so: Operation not permitted\n", s.pid), "{time} ulp: {any}link.so{any}\n"+failed1,
		"trigger", "-p", s.id(), "link.so")
	s.answers("100 12")
}

// A thread that stays in the function: with -c the answer is that it is busy.
func TestTriggerChecksStacks(t *testing.T) {
	l := newLab(t)
	l.container("sits", "hundreds", 7)
	text := "sits.so\n@libulphundreds.so.0\nsits:number_lp\n"
	if err := os.WriteFile(filepath.Join(l.dir, "sits.dsc"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	l.ulp(0, "", "{time} ulp: metadata successfully embedded into livepatch container\n", "packer", "sits.dsc")
	s := l.start(exec.Command(filepath.Join(l.dir, "ulpserv"), "sits"))
	s.blocks()
	name := fmt.Sprintf("  ulpserv (pid: %d): ", s.pid)
	l.ulp(11, name+"FAILED sits.so: Resource temporarily unavailable ({any})\n", failed1, "trigger", "-c", "--timeout=1", "-p", s.id(), "sits.so")
	l.ulp(0, name+"SUCCESS sits.so\n", patched1, "trigger", "-p", s.id(), "sits.so")
	if _, err := io.WriteString(s.in, "x"); err != nil { // the call that is under way ends
		t.Fatal(err)
	}
	s.answers("100 12")
}

// Somebody without the right to it is told so, and the exit status says it.
func TestTriggerNeedsPermission(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	if err := os.Chmod(filepath.Dir(l.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	s := l.serve()
	l.user = 65534
	const refused = "{time} ulp: error gathering target process information: Operation not permitted\n"
	l.ulp(1, "", refused, "trigger", "-p", s.id(), "hundreds1.so")
	l.ulp(1, "", refused, "set_patchable", "disable", "-p", s.id())
	l.ulp(1, "", refused, "patches", "-p", s.id())
	l.ulp(255, "", refused, "check", "-p", s.id(), "hundreds1.so")
	s.answers("100 12")
}

func TestSetPatchable(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	s := l.serve()
	name := fmt.Sprintf("  ulpserv (pid: %d): ", s.pid)
	now := fmt.Sprintf("{time} ulp: Process ulpserv (pid: %d): livepatching is now ", s.pid)
	l.ulp(0, "", now+"disabled.\n", "set_patchable", "disable", "-p", s.id())
	l.ulp(0, name+"SKIPPED Livepatching blocked by user request\n", skipped1, "trigger", "-p", s.id(), "hundreds1.so")
	s.answers("100 12")
	l.ulp(0, "", now+"enabled.\n", "set_patchable", "enable", "-p", s.id())
	l.ulp(0, name+"SUCCESS hundreds1.so\n", patched1, "trigger", "-p", s.id(), "hundreds1.so")
	s.answers("200 12")
	l.ulp(1, "", "{time} ulp: Empty argument. Expected: 'enable' or 'disable'\n", "set_patchable", "maybe")

	blocked := l.serve("LIBPULP_DISABLE_ON_PATH=" + l.dir + "/ulp*")
	name = fmt.Sprintf("  ulpserv (pid: %d): ", blocked.pid)
	l.ulp(0, name+"SKIPPED Livepatching blocked by user request\n", skipped1, "trigger", "-p", blocked.id(), "hundreds1.so")
	blocked.answers("100 12")
}
