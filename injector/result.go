package injector

import (
	"strings"
	"time"
	"unicode"
)

// Word is the outcome for one process, exactly one of the constants.
type Word string

// The outcomes. The first group is what is normal, the second a failure.
const (
	Applied         Word = "APPLIED"            // the patches given are in force now
	Already         Word = "ALREADY"            // they were in force before
	Replaced        Word = "REPLACED"           // others were in force, now these are
	Reverted        Word = "REVERTED"           // they were in force, now none of them is
	NotApplied      Word = "NOT-APPLIED"        // none of them was in force
	NotLoaded       Word = "NOT-LOADED"         // the process does not map the library
	NoPatchForBuild Word = "NO-PATCH-FOR-BUILD" // it maps a build that no container is for

	Busy    Word = "BUSY"    // a thread could not be brought to a safe place in time: try again
	Blocked Word = "BLOCKED" // something about this process forbids it
	Foreign Word = "FOREIGN" // somebody else's patch, or a newer ledger, is in the way
	Gone    Word = "GONE"    // the process ended, or became another program, meanwhile
	Failed  Word = "FAILED"  // an error that none of the others describes
)

// OK reports whether the word is a normal outcome (exit code 0) rather than a
// failure (exit code 3).
func (w Word) OK() bool {
	switch w {
	case Applied, Already, Replaced, Reverted, NotApplied, NotLoaded, NoPatchForBuild:
		return true
	}
	return false
}

// Result is what happened to one process, or what is true of it.
type Result struct {
	PID int `json:"pid"`
	// StartTime is field 22 of /proc/PID/stat, in clock ticks since boot: with
	// PID it names the process for as long as the machine runs.
	StartTime uint64 `json:"start_time"`
	// Command is /proc/PID/comm.
	Command string `json:"command"`
	// Library and BuildID are the target library as it is mapped: its soname
	// and GNU build-id in lower-case hexadecimal; empty if none is concerned.
	Library string `json:"library,omitempty"`
	BuildID string `json:"build_id,omitempty"`
	Word    Word   `json:"result"`
	// Reason is one line for a person, empty if there is nothing to explain.
	Reason string `json:"reason,omitempty"`
	// Stopped is the longest time for which threads were held.
	Stopped time.Duration `json:"stopped_ns"`
	// DryRun says that nothing was changed: Word is what would have come of it,
	// Patches is what is in force as before.
	DryRun bool `json:"dry_run,omitempty"`
	// Patchable is what Status knows of whether a live patch could be applied, as
	// far as can be told without stopping anything; Reason says why not. nil after
	// other operations.
	Patchable *bool `json:"patchable,omitempty"`
	// Patches are the live patches in force afterwards, oldest first.
	Patches []Patch `json:"patches"`
	// Err is the error behind a failure, for errors.Is; nil otherwise.
	Err error `json:"-"`
}

// Patch is one live patch in force in a process, as its ledger tells.
type Patch struct {
	// ID is the SHA-256 of the container file, in hexadecimal.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Set and SetVersion are the patch set's name and version, Patch its folder;
	// empty if libpulp's packer made the container.
	Set        string `json:"set,omitempty"`
	SetVersion string `json:"set_version,omitempty"`
	Patch      string `json:"patch,omitempty"`
	// Library and BuildID are the target library.
	Library string `json:"library"`
	BuildID string `json:"build_id"`
	// Time is when it was loaded.
	Time       time.Time `json:"time"`
	References []string  `json:"references,omitempty"`
	Functions  []string  `json:"functions"`
}

// makePrintable replaces what a terminal would obey in the texts that come from
// the process: its name, those of its files and what its ledger says.
func (r *Result) makePrintable() {
	if r == nil {
		return
	}
	texts := []*string{&r.Command, &r.Library, &r.BuildID, &r.Reason}
	for i := range r.Patches {
		p := &r.Patches[i]
		texts = append(texts, &p.ID, &p.Name, &p.Set, &p.SetVersion, &p.Patch, &p.Library, &p.BuildID)
		for _, list := range [][]string{p.References, p.Functions} {
			for i := range list {
				texts = append(texts, &list[i])
			}
		}
	}
	for _, s := range texts {
		*s = printable(*s)
	}
}

// printable replaces what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, s)
}
