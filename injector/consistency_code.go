package injector

import (
	"cmp"
	"errors"
	"slices"
)

// codeRange is code that must not be in use: addresses [start, end).
type codeRange struct {
	start, end uint64
	// name is what it is called in messages, where none of parts is more exact.
	name  string
	parts []codeRange
	// returns says of every address from start to end, which are included,
	// whether a call ends there: only that can be a return address.
	returns []bool
}

// at names what lies at an address of the code, or ends there.
func (r *codeRange) at(addr uint64) string {
	for _, p := range r.parts {
		if addr >= p.start && addr <= p.end {
			return p.name
		}
	}
	return r.name
}

// A turn is one function that an operation redirects: entry is its original's
// first byte, to the replacement that comes into force, 0 for the original or
// for one that is not in the process yet.
type turn struct {
	name      string
	entry, to uint64
	// original: the original goes out of force, or is out of force already.
	original bool
}

// turns are the functions that the goal redirects.
func (j *job) turns(pr *prepared) []turn {
	now := j.replacements(nil)
	if j.led != nil {
		active, err := j.active()
		if err == nil {
			now = j.replacements(active)
		}
	}
	then := j.replacements(pr.keep)
	fresh := make(map[uint64]string)
	for _, functions := range pr.functions {
		for _, f := range functions {
			fresh[f.entry.function] = f.name
		}
	}
	var out []turn
	for entry, name := range fresh {
		out = append(out, turn{name: name, entry: entry, original: true})
	}
	for entry, was := range now {
		is, stays := then[entry]
		if _, ok := fresh[entry]; !ok && is.New != was.New {
			out = append(out, turn{name: was.Old, entry: entry, to: is.New, original: stays})
		}
	}
	for entry, is := range then {
		_, known := now[entry]
		if _, ok := fresh[entry]; !ok && !known {
			out = append(out, turn{name: is.Old, entry: entry, to: is.New, original: true})
		}
	}
	return out
}

// replacements are those in force if these containers are, by the address of
// the original.
func (j *job) replacements(active []activeRef) map[uint64]recordFunction {
	out := make(map[uint64]recordFunction)
	for _, a := range active {
		for _, f := range j.led.container(a).Functions {
			out[f.Address] = f
		}
	}
	return out
}

// changing is the code of the functions that the goal redirects, other than
// the code to which it redirects them. A container that goes out of force
// counts as a whole: its functions may have left the stack to helpers of their
// own.
func (j *job) changing(pr *prepared) ([]codeRange, error) {
	var out []codeRange
	for _, t := range j.turns(pr) {
		if t.original {
			r, err := j.originalCode(pr, t)
			if err != nil {
				return nil, err
			}
			out = append(out, r...)
		}
		r, err := j.replacementCode(pr, t)
		if err != nil {
			return nil, err
		}
		out = append(out, r...)
	}
	out = mergeCode(out)
	for i := range out {
		if err := out[i].read(j.p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mergeCode sorts ranges and makes one of those that overlap.
func mergeCode(ranges []codeRange) []codeRange {
	slices.SortFunc(ranges, func(a, b codeRange) int { return cmp.Compare(a.start, b.start) })
	var out []codeRange
	for _, r := range ranges {
		if last := len(out) - 1; last >= 0 && r.start < out[last].end {
			out[last].end = max(out[last].end, r.end)
			out[last].parts = append(out[last].parts, r.parts...)
			continue
		}
		out = append(out, r)
	}
	return out
}

// originalCode is where the original of a function lies: its body, what the
// compiler moved away from it, and its first instructions where a detour has
// moved them.
func (j *job) originalCode(pr *prepared, t turn) ([]codeRange, error) {
	size := j.originalSize(pr, t)
	if size == 0 {
		return nil, blockedf("the size of %s is not known: an earlier release applied its patch; "+
			"stack consistency can't be had, immediate can", t.name)
	}
	out := []codeRange{{start: t.entry, end: t.entry + size, name: t.name}}
	if d := j.detourFor(t.entry); d != nil && d.Kind == "stock" {
		out = append(out, codeRange{start: d.Old, end: d.Old + trampolineSize - relocatedAt, name: t.name})
	}
	for _, s := range j.coldParts(t) {
		out = append(out, codeRange{start: s.start, end: s.end, name: t.name})
	}
	return out, nil
}

// originalSize is the size of a function's original in bytes, 0 if unknown.
func (j *job) originalSize(pr *prepared, t turn) uint64 {
	for _, functions := range pr.functions {
		for _, f := range functions {
			if f.entry.function == t.entry {
				return uint64(len(f.entry.code))
			}
		}
	}
	if j.led == nil {
		return 0
	}
	for _, r := range j.led.records {
		for _, c := range r.Containers {
			for _, f := range c.Functions {
				if f.Address == t.entry && f.Size > 0 && f.Size <= maxFunction {
					return f.Size
				}
			}
		}
	}
	return 0
}

// replacementCode is the code of every replacement of a function that is in
// the process, other than the one that comes into force.
func (j *job) replacementCode(pr *prepared, t turn) ([]codeRange, error) {
	if j.led == nil {
		return nil, nil
	}
	var out []codeRange
	for _, r := range j.led.records {
		for i, c := range r.Containers {
			for _, f := range c.Functions {
				if f.Address != t.entry || f.New == t.to {
					continue
				}
				stays := slices.Contains(pr.keep, activeRef{r.address, uint32(i)})
				s, err := c.code(r, f, stays)
				if err != nil {
					return nil, err
				}
				whole := codeRange{start: s.start, end: s.end, name: c.Name}
				for _, f := range c.Functions {
					whole.parts = append(whole.parts, codeRange{start: f.New, end: f.New + f.NewSize, name: f.Old + " of " + c.Name})
				}
				out = append(out, whole)
			}
		}
	}
	return out, nil
}

// code is where a replacement lies; if its container goes out of force, where
// that lies. Ledgers of earlier releases know only what one operation brought.
func (c *recordContainer) code(r *record, f recordFunction, stays bool) (span, error) {
	s := span{c.Start, c.Start + c.Size}
	if stays {
		s = span{f.New, f.New + f.NewSize}
	} else if c.Size == 0 && len(r.Containers) == 1 {
		s = span{r.Start, r.Start + r.Size}
	}
	region := span{r.Start, r.Start + r.Size}
	if s.start >= s.end || s.start < region.start || s.end > region.end || s.end-s.start > maxImage {
		return span{}, blockedf("the size of %s in %s is not known: an earlier release applied it; "+
			"stack consistency can't be had, immediate can", f.Old, c.Name)
	}
	return s, nil
}

// coldParts are the places to which the compiler has moved unlikely parts of a
// function (NAME.cold, NAME.part.N), as far as the library's symbols tell.
func (j *job) coldParts(t turn) []span {
	for _, o := range j.objs {
		if o.file == nil || !o.executable(t.entry) {
			continue
		}
		parts, err := o.file.Parts(t.name)
		if err != nil {
			return nil
		}
		var out []span
		for _, s := range parts {
			if at := o.addr(s.Address); o.executable(at) && s.Size <= maxFunction {
				out = append(out, span{at, at + s.Size})
			}
		}
		return out
	}
	return nil
}

// read fills returns from the code in memory. It reads some bytes before the
// code as well, for calls at its very start end behind them.
func (r *codeRange) read(p *process) error {
	const most = maxImage
	if r.end <= r.start || r.end-r.start > most {
		return blockedf("%s has %d bytes of code", r.name, r.end-r.start)
	}
	code := make([]byte, r.end-r.start)
	if err := p.readAt(code, r.start); err != nil {
		return errors.Join(errUnreadable, err)
	}
	r.returns = make([]bool, len(code)+1)
	for i := 2; i <= len(code); i++ {
		r.returns[i] = endsCall(code[:i]) && p.mayExecute(r.start+uint64(i)-1)
	}
	return nil
}

// mayExecute says whether an address is in executable memory, or in memory that
// was not mapped when that was looked up. A container's data can look like the
// end of a call, and hold its own address (__dso_handle).
func (p *process) mayExecute(addr uint64) bool {
	m, ok := findMapping(p.maps, addr)
	return !ok || m.exec
}

// errUnreadable: code that the ledger speaks of can't be read.
var errUnreadable = errors.New("code of a live patch")
