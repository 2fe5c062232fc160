package injector

import (
	"errors"
	"fmt"
)

// What callers branch on.
var (
	// ErrGone: the process has ended, or has replaced its program by exec,
	// since it was found.
	ErrGone = errors.New("process has ended")
	// ErrPermission: the process may not be traced by this user, or its kernel
	// or security module forbids it.
	ErrPermission = errors.New("not permitted to trace")

	// errNotProcess: the id is of a kernel thread, a zombie or a thread.
	errNotProcess = errors.New("not a process that can be patched")
	// errNotSelected: the process has turned out to be none that was meant.
	errNotSelected = errors.New("not selected")
	// errBusy: the process is loading or unloading a library; try again.
	errBusy = errors.New("busy")
	// errNoSymbol: no library in scope defines the symbol.
	errNoSymbol = errors.New("symbol not defined")
)

// blocked is the error of a process that cannot be patched however often it is
// tried; reason completes the sentence "it can't be patched, because ...".
type blocked struct {
	reason string
	// again: it is worth another try in a moment.
	again bool
}

func (b blocked) Error() string { return b.reason }

func blockedf(format string, args ...any) error {
	return blocked{reason: fmt.Sprintf(format, args...)}
}
