package rpmhook

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// buildMarkers are files that say that this root is being built, not run: those
// of OBS' build, of Docker and of Podman. Processes in a container that is
// running are covered by the hook of the host.
var buildMarkers = []string{".buildenv", ".dockerenv", "run/.containerenv"}

// updateVariable is set by transactional-update, which installs into a snapshot
// that becomes the system at the next boot.
const updateVariable = "TRANSACTIONAL_UPDATE"

// dormant returns the reason why no process may be touched, "" on a running
// system. The question is whether the files of this root are those that the
// processes in /proc should run: in a chroot, an image or a snapshot they are
// not, and the processes may well be the build host's.
func dormant(root string, getenv func(string) string) string {
	if getenv(updateVariable) != "" {
		return updateVariable + " is set"
	}
	for _, name := range buildMarkers {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			return "/" + name + " exists"
		}
	}
	self, err := os.Readlink(filepath.Join(root, "proc/self"))
	if err != nil {
		return "no /proc"
	}
	if self != strconv.Itoa(os.Getpid()) {
		return "/proc belongs to another process namespace"
	}
	var init, here unix.Stat_t
	if err := unix.Stat(filepath.Join(root, "proc/1/root"), &init); err != nil {
		return "the root of process 1 is unknown: " + err.Error()
	}
	if err := unix.Stat(root, &here); err != nil {
		return "no root: " + err.Error()
	}
	if init.Dev != here.Dev || init.Ino != here.Ino {
		return "process 1 has another root"
	}
	return ""
}
