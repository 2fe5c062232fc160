// Package scratch gives a program a machine of its own to install packages on:
// a root folder in memory with rpm and a shell in it, in namespaces of its own.
//
// # How it works
//
// Start runs a program as process 1 of new mount, PID, IPC and network
// namespaces. There it calls Enter, which makes the root in a tmpfs, binds what
// rpm needs of the host into it, read-only, and pivots. To processes inside,
// /proc/1/root is / and no other process exists: what a package's scriptlets do
// to "every running process" reaches nobody outside.
//
// # Invariants
//
//   - Nothing of it outlives process 1, whose end is the end of every process
//     inside, of all mounts and of the tmpfs, whatever ended it.
//   - Process 1 is killed when the thread that started it dies.
//   - The host's files are visible read-only at most. What is written is written
//     to memory.
package scratch

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Run runs a program as process 1 and waits until it has ended. prepare may set
// what os/exec.Cmd has, except SysProcAttr. When ctx is done the program is
// killed, and with it everything inside.
//
// Precondition: the right to make namespaces (CAP_SYS_ADMIN).
func Run(ctx context.Context, argv []string, prepare func(*exec.Cmd)) error {
	// PR_SET_PDEATHSIG means the death of the thread that forked: it must live
	// as long as the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // the terminal's Ctrl-C is for the caller, who cancels ctx
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Kill) }
	if prepare != nil {
		prepare(cmd)
	}
	return cmd.Run()
}
