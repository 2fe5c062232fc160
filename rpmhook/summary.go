package rpmhook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/injector"
)

// Summary is what came of one call of the hook.
type Summary struct {
	Event Event
	// Version is the installed set's, "" if its manifest could not be read.
	Version string
	// Skipped is why nothing was done, "" if something was to be done.
	Skipped string
	// Processes is how many processes are concerned: those that map a target
	// library of the set or had one of its patches in force. Words counts them
	// by outcome; a process with several libraries counts once, by its worst.
	Processes int
	Words     map[injector.Word]int
	// Err is why nothing, or not everything, was done.
	Err error
}

// severity orders the words of one process, the worst first. A word that is
// missing concerns nobody.
var severity = []injector.Word{
	injector.Failed, injector.Blocked, injector.Foreign, injector.Busy,
	injector.Replaced, injector.Applied, injector.Reverted, injector.Already, injector.NoPatchForBuild,
}

// count fills in Processes and Words.
func (s *Summary) count(found map[target]injector.Result) {
	type process struct {
		pid   int
		start uint64
	}
	worst := make(map[process]int)
	for t, r := range found {
		rank := slices.Index(severity, r.Word)
		if rank < 0 {
			continue
		}
		p := process{t.pid, t.start}
		if before, seen := worst[p]; !seen || rank < before {
			worst[p] = rank
		}
	}
	s.Processes = len(worst)
	s.Words = make(map[injector.Word]int)
	for _, rank := range worst {
		s.Words[severity[rank]]++
	}
}

// Line is the one line for the terminal, without a newline; "" if there is
// nothing to tell: no process concerned, or all of them done before.
func (s Summary) Line() string {
	if s.Skipped != "" || s.Err == nil && !s.news() {
		return ""
	}
	var b strings.Builder
	b.WriteString(s.Event.Name)
	if s.Version != "" {
		b.WriteString(" " + s.Version)
	}
	if s.news() || s.Err == nil {
		b.WriteString(": " + s.counts())
	}
	if s.Err != nil {
		b.WriteString(": " + oneLine(s.Err.Error()))
	}
	return b.String()
}

// news reports whether the counts are worth a line. That processes run builds
// which the set does not cover is said once, by %post.
func (s Summary) news() bool {
	for word, n := range s.Words {
		quiet := word == injector.Already || word == injector.NoPatchForBuild && s.Event.Script != Post
		if n > 0 && !quiet {
			return true
		}
	}
	return false
}

// counts is "12 processes: 11 REPLACED, 1 BUSY": what was done, what was there
// already, what is not covered, then what went wrong.
func (s Summary) counts() string {
	var parts, wrong []string
	for _, word := range severity {
		n := s.Words[word]
		switch part := fmt.Sprintf("%d %s", n, word); {
		case n == 0:
		case word.OK():
			parts = append(parts, part)
		default:
			wrong = append(wrong, part)
		}
	}
	noun := "processes"
	if s.Processes == 1 {
		noun = "process"
	}
	return fmt.Sprintf("%d %s: %s", s.Processes, noun, strings.Join(append(parts, wrong...), ", "))
}

// oneLine replaces what would end the line or drive the terminal: names in an
// error come from files and processes.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
