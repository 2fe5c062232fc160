package builder

import (
	"errors"
	"fmt"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// What callers branch on. Each error of an Outcome wraps one of them, or one
// of elfinfo's and livepatch's, or is a *ToolError.
var (
	// ErrNotFound: the build has no function or variable of that name, or its
	// record does not say. The exit code is 10.
	ErrNotFound = errors.New("not found")
	// ErrNotLivepatchable: the function is there but cannot be redirected. The
	// exit code is 11.
	ErrNotLivepatchable = elfinfo.ErrNotLivepatchable
	// ErrImport: the replacement uses a symbol that does not exist wherever
	// that build runs.
	ErrImport = errors.New("unresolvable import")
	// ErrReplacement: the source does not define and export what the
	// description names. It concerns every build alike.
	ErrReplacement = errors.New("no such replacement")
	// ErrConflict: two lines of a description, or two live patches, concern the
	// same bytes or the same name.
	ErrConflict = errors.New("conflict")
)

// refusal is a reason not to build a container for one build: one line for a
// person, and the sentinels that it stands for.
type refusal struct {
	reason string
	causes []error
	// named says that the reason names the build already.
	named bool
}

// nameBuild says which build an error is about.
func nameBuild(err error, b *elfinfo.Build) error {
	var r *refusal
	if errors.As(err, &r) && r.named {
		return err
	}
	return fmt.Errorf("%s: %s: %w", b.NEVRA, b.Soname, err)
}

// refuse makes a refusal of kind, with the error that led to it; either may be nil.
func refuse(kind, cause error, format string, args ...any) error {
	r := &refusal{reason: fmt.Sprintf(format, args...)}
	for _, err := range []error{kind, cause} {
		if err != nil {
			r.causes = append(r.causes, err)
		}
	}
	return r
}

func (r *refusal) Error() string   { return r.reason }
func (r *refusal) Unwrap() []error { return r.causes }
