package ulp

import "github.com/lpbuild/lpbuild/injector"

// An outcome is what became of one process.
type outcome struct {
	pid     int
	name    string
	entries []entry
}

// An entry is what became of one file in a process. why is the engine's reason.
type entry struct {
	patch   string
	failure code
	why     string
}

// note adds what is known of a process without having tried.
func (t *triggering) note(p injector.Inspection, patch string, failure code, why string) {
	r := p.Result
	r.Reason = why
	t.noteResult(r, patch, failure)
}

func (t *triggering) noteResult(r injector.Result, patch string, failure code) {
	o := t.outcomes[r.PID]
	if o == nil {
		o = &outcome{pid: r.PID, name: r.Command}
		t.outcomes[r.PID] = o
	}
	if o.name == "" {
		o.name = r.Command
	}
	o.entries = append(o.entries, entry{patch, failure, r.Reason})
}

// concerned says whether a process counts: it was named, or it maps one of the
// libraries.
func (t *triggering) concerned(o *outcome) bool {
	if t.sel.named {
		return true
	}
	for _, e := range o.entries {
		if e.failure != eNoTargetLib && e.failure != eNoMeta {
			return true
		}
	}
	return false
}

// report prints what became of every process and returns the exit status.
func (t *triggering) report() int {
	var failures code
	patched, skipped, failed := 0, 0, 0
	for _, p := range t.seen {
		o := t.outcomes[p.PID]
		if o == nil {
			if t.sel.named {
				skipped++ // no file matched
			}
			continue
		}
		if !t.concerned(o) {
			continue
		}
		success, failure := o.result()
		failures |= failure
		switch {
		case failure != none:
			failed++
		case success:
			patched++
		default:
			skipped++
		}
		if !t.quiet {
			t.printOutcome(o)
		}
	}
	if patched+skipped+failed > 0 {
		t.warn("Processes patched: %d, Skipped: %d, Failed: %d.", patched, skipped, failed)
	}
	return exitStatus(failures | t.broken)
}

// result says whether something was done to a process, and what failed.
func (o *outcome) result() (success bool, failure code) {
	for _, e := range o.entries {
		switch {
		case e.failure == none:
			success = true
		case !e.failure.skipped():
			failure |= e.failure
		}
	}
	return success, failure
}

// printOutcome prints one line, or a list if there is more than one thing to
// say. Files that are for something else are left out, unless all is to be shown.
func (t *triggering) printOutcome(o *outcome) {
	entries := o.entries
	if all := t.noSummary || t.verbose; !all {
		entries = nil
		for _, e := range o.entries {
			if !e.failure.minor() {
				entries = append(entries, e)
			}
		}
		switch len(entries) {
		case 0:
			return
		case 1:
			t.printSingle(o, entries[0])
			return
		}
	}
	t.print("  %s (pid: %d):\n", o.name, o.pid)
	for _, e := range entries {
		word, color := e.word()
		t.print("    %s %s", t.paint(color, word), e.patch)
		if e.failure != none {
			t.print(": %s", e.text())
		}
		t.print("\n")
	}
}

// printSingle prints the one thing that is to be said of a process.
func (t *triggering) printSingle(o *outcome, e entry) {
	word, color := e.word()
	t.print("  %s (pid: %d): %s ", o.name, o.pid, t.paint(color, word))
	switch {
	case e.failure == none:
		t.print("%s\n", e.patch)
	case e.failure.skipped():
		t.print("%s\n", e.text())
	default:
		t.print("%s: %s\n", e.patch, e.text())
	}
}

func (e entry) word() (word, color string) {
	switch {
	case e.failure == none:
		return "SUCCESS", green
	case e.failure.skipped():
		return "SKIPPED", yellow
	}
	return "FAILED", red
}

// text is libpulp's text, and for a failure the engine's reason.
func (e entry) text() string {
	if e.why == "" || e.failure.skipped() {
		return e.failure.String()
	}
	return e.failure.String() + " (" + e.why + ")"
}
