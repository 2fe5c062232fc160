package ulp

import (
	"fmt"
	"testing"
)

func TestPatches(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	l.patch("hundreds2", "hundreds", 300)
	s := l.serve()
	head := fmt.Sprintf("PID: %d, name: ulpserv\n  Livepatching status: enabled\n  Livepatchable libraries:\n", s.pid)
	hundreds, dozens := "    in "+l.dir+"/libulphundreds.so.0:\n", "    in "+l.dir+"/libulpdozens.so.0:\n"
	l.ulp(0, head+dozens+hundreds+"\n", "", "patches", "-p", s.id())
	for _, p := range []string{"hundreds1.so", "hundreds2.so"} {
		l.ulp(0, fmt.Sprintf("  ulpserv (pid: %d): SUCCESS %s\n", s.pid, p), patched1, "trigger", "-p", s.id(), p)
	}
	loaded := func(name string) string {
		return "      livepatch: " + name + " loaded on {ctime}\n        bug labels: bsc#1200316 jsc#SLE-20049 CVE-2021-3449\n"
	}
	l.ulp(0, head+hundreds+loaded("hundreds2.so")+loaded("hundreds1.so")+"\n", "", "patches", "--only-livepatched", "-p", s.id())
	l.ulp(0, head+"    in "+l.dir+"/libulpdozens.so.0 ({id}):\n    in "+l.dir+"/libulphundreds.so.0 ({id}):\n"+
		loaded("hundreds2.so")+loaded("hundreds1.so")+"\n", "", "patches", "-b", "-p", s.id())
	// The name of the program and of its user stand for it, in patterns too.
	l.ulp(0, head+hundreds+loaded("hundreds2.so")+loaded("hundreds1.so")+"\n", "", "patches", "--only-livepatched", "-p", "ul[!a]ser?", "-u", "ro*")
	l.ulp(0, "", "", "patches", "-p", "ulpserv", "-u", "nobody")
	l.ulp(1, "", "{time} ulp: error gathering target process information: No such process\n", "patches", "-p", "4194999")

	l.ulp(0, "", fmt.Sprintf("{time} ulp: Process ulpserv (pid: %d): livepatching is now disabled.\n", s.pid), "set_patchable", "disable", "-p", s.id())
	l.ulp(0, fmt.Sprintf("PID: %d, name: ulpserv\n  Livepatching status: \x1b[33;1mdisabled by user\x1b[0m\n  Livepatchable libraries:\n", s.pid)+
		hundreds+loaded("hundreds2.so")+loaded("hundreds1.so")+"\n", "", "patches", "--only-livepatched", "--color=yes", "-p", s.id())
}

func TestMessages(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	l.patch("dozens1", "dozens", 13)
	s := l.serve()
	l.ulp(0, "libpulp loaded...\n", "", "messages", "-p", s.id())
	for _, args := range [][]string{{"hundreds1.so"}, {"dozens1.so"}, {"hundreds1.so", "--revert"}} {
		if code, _, stderr := l.run(append([]string{"trigger", "-p", s.id()}, args...)...); code != 0 {
			t.Fatal(stderr)
		}
	}
	l.ulp(0, "libpulp loaded...\n"+
		"{time}  ulp: Patch path: hundreds1.so\n{time}  ulp: Patching function 0x{hex} to 0x{hex}\n ulp: Removing patch from 0x{hex}\n"+
		"{time}  ulp: Patch path: dozens1.so\n{time}  ulp: Patching function 0x{hex} to 0x{hex}\n", "", "messages", "-p", s.id())
	l.ulp(64, "", "ulp: process is mandatory in 'messages' command.\nTry `ulp --help' or `ulp --usage' for more information.\n", "messages")
}

func TestCheck(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds1", "hundreds", 200)
	l.ulp(255, "", "{time} ulp: error checking live patch sanity: Target library not loaded\n", "check", "hundreds1.so")
	a, b := l.serve(), l.serve()
	if code, _, stderr := l.run("trigger", "-p", a.id(), "hundreds1.so"); code != 0 {
		t.Fatal(stderr)
	}
	l.ulp(1, "", "{time} ulp: patch already applied\n", "check", "-p", a.id(), "hundreds1.so")
	l.ulp(0, "", "{time} ulp: patch not yet applied\n", "check", "-p", b.id(), "hundreds1.so")
	l.ulp(0, "", "{time} ulp: patch not yet applied\n", "check", "hundreds1.so") // not in both
	if code, _, stderr := l.run("trigger", "hundreds1.so"); code != 0 {
		t.Fatal(stderr)
	}
	l.ulp(1, "", "{time} ulp: patch already applied\n", "check", "hundreds1.so")
	l.ulp(255, "", "{time} ulp: error gathering target process information: No such process\n", "check", "-p", "4194999", "hundreds1.so")
	l.ulp(255, "", "{time} ulp: {any}\n{time} ulp: error parsing the metadata file (libulpdozens.so.0).\n", "check", "-p", a.id(), "libulpdozens.so.0")
}
