package injector

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// An Inspection is what one process is made of, as far as live patches are
// concerned.
type Inspection struct {
	// Result is as Status gives it. If its word is a failure, the rest may be
	// empty, or Libraries alone be known.
	Result
	// Disabled is why live patches are forbidden in the process (see
	// SetPatchable), "" if they are not.
	Disabled string
	// Libraries are the ELF files that it has loaded, by ascending address; its
	// program is one of them.
	Libraries []Library
	// History is what was ever loaded into it, oldest first.
	History []Loaded
}

// A Library is one ELF file that a process has loaded.
type Library struct {
	// Path is its name as the kernel shows it, Soname its DT_SONAME or the base
	// name of Path, BuildID its GNU build-id in lower-case hexadecimal.
	Path, Soname, BuildID string
	// Padded: it was built with -fpatchable-function-entry, in part at least.
	Padded bool
}

// Loaded is one container that was loaded into a process.
type Loaded struct {
	// Name is the base name of the container file, Time when it was loaded.
	Name string
	Time time.Time
	// InForce says whether it is now.
	InForce   bool
	Functions []Redirection
}

// A Redirection is one function that a container replaces: its address, and that
// of the replacement.
type Redirection struct {
	Function     string
	Address, New uint64
}

// Inspect tells what the selected processes are made of, and changes nothing.
// Every selected process that may be traced gets an answer.
func (in *Injector) Inspect(ctx context.Context, sel Selection) ([]Inspection, error) {
	sel.All = true
	seen := make(map[int]*Inspection)
	var mu sync.Mutex
	results, err := in.each(ctx, sel, operation{kind: opInspect, see: func(j *job) error {
		found, err := j.inspect()
		mu.Lock()
		defer mu.Unlock()
		seen[j.p.pid] = found
		return err
	}})
	out := make([]Inspection, 0, len(results))
	for _, r := range results {
		i := Inspection{Result: r}
		mu.Lock()
		if found := seen[r.PID]; found != nil {
			i.Disabled, i.Libraries, i.History = found.Disabled, found.Libraries, found.History
		}
		mu.Unlock()
		out = append(out, i)
	}
	return out, err
}

// inspect collects what Inspect adds to the result of Status.
func (j *job) inspect() (*Inspection, error) {
	found := new(Inspection)
	switch err := j.forbidden(); {
	case errors.Is(err, ErrDisabled):
		found.Disabled = printable(err.Error())
	case err != nil:
		return nil, err
	}
	for _, o := range j.objs {
		found.Libraries = append(found.Libraries, Library{
			Path: printable(o.path), Soname: printable(o.called()), BuildID: o.buildID, Padded: o.file.HasSection(entriesSection),
		})
	}
	if j.led == nil {
		return found, nil
	}
	now, err := j.active()
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(j.led.records) {
		for i, c := range r.Containers {
			l := Loaded{Name: printable(c.Name), Time: r.Time, InForce: slices.Contains(now, activeRef{r.address, uint32(i)})}
			for _, f := range c.Functions {
				l.Functions = append(l.Functions, Redirection{printable(f.Old), f.Address, f.New})
			}
			found.History = append(found.History, l)
		}
	}
	slices.SortStableFunc(found.History, func(a, b Loaded) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return found, nil
}

// entriesSection lists the NOPs of -fpatchable-function-entry (GCC manual,
// Instrumentation Options).
const entriesSection = "__patchable_function_entries"
