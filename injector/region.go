package injector

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// A region is the memory that one operation brings into a process:
//
//	control page   only in the first region of a process
//	trampolines    one per stock function that gets its detour now
//	room           where later operations put their stubs
//	record         what the region is
//	images         the containers, one after the other
//
// All of it is mapped readable and executable and written from outside, but
// for the containers' data.
type region struct {
	trampolines uint64
	room        uint64
	record      uint64
	recordRoom  uint64
	images      []uint64
	size        uint64
	// writable are the parts with data, as offsets.
	writable []span
}

// span is a range of addresses or offsets.
type span struct{ start, end uint64 }

// layOut computes the offsets. control says whether a control page is needed.
func layOut(control bool, detours int, recordRoom uint64, images []*image) region {
	var g region
	if control {
		g.trampolines = pageSize
	}
	// What is used in every process comes first, and takes one page as a rule.
	g.room = g.trampolines + uint64(detours)*trampolineSize
	g.record = g.room + roomSize
	g.recordRoom = recordRoom
	at := roundUp(g.record + recordRoom)
	for _, im := range images {
		g.images = append(g.images, at)
		if im.writable < im.size {
			g.writable = append(g.writable, span{at + im.writable, at + im.size})
		}
		at += im.size
	}
	g.size = at
	return g
}

func roundUp(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// Protection and flags of mmap(2) for the two kinds of memory. MAP_FIXED_NOREPLACE
// (Linux 4.17) fails where something is mapped already.
const (
	protRead        = 0x1
	protReadWrite   = 0x1 | 0x2
	protReadExecute = 0x1 | 0x4
	mapFlags        = 0x02 | 0x20 | 0x100000 // MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
)

// calls are the system calls that bring the region to base. The first one takes
// all of it, so that no later one can meet memory of somebody else.
func (g *region) calls(base uint64) []remoteCall {
	calls := []remoteCall{{
		number: unix.SYS_MMAP, want: base,
		args: [6]uint64{base, g.size, protReadExecute, mapFlags, ^uint64(0), 0},
	}}
	for _, w := range g.writable {
		calls = append(calls, remoteCall{
			number: unix.SYS_MPROTECT, args: [6]uint64{base + w.start, w.end - w.start, protReadWrite},
		})
	}
	return calls
}

// ranges are the memory that the calls of a region are about, in order: the
// first call's is all of it, as long as that one is to be made.
func ranges(calls []remoteCall) []span {
	var out []span
	for _, c := range calls {
		out = append(out, span{c.args[0], c.args[0] + c.args[1]})
		if c.number == unix.SYS_MMAP {
			break
		}
	}
	return out
}

// unmade are the calls of a region whose effect is not to be seen in maps. It
// is blocked if something else is mapped there.
func unmade(maps []mapping, calls []remoteCall) ([]remoteCall, error) {
	whole := calls[0]
	parts := calls[1:]
	if whole.number != unix.SYS_MMAP { // it was seen earlier
		whole, parts = remoteCall{}, calls
	}
	var left []remoteCall
	for _, c := range parts {
		if !covered(maps, c.args[0], c.args[0]+c.args[1], mapping.ourData) {
			left = append(left, c)
		}
	}
	start, end := whole.args[0], whole.args[0]+whole.args[1]
	ours := func(m mapping) bool {
		return m.ourCode() || m.ourData() && slices.ContainsFunc(parts, func(c remoteCall) bool {
			return m.start >= c.args[0] && m.end <= c.args[0]+c.args[1]
		})
	}
	switch {
	case start == end, covered(maps, start, end, ours):
		return left, nil
	case slices.ContainsFunc(maps, func(m mapping) bool { return m.start < end && m.end > start }):
		return nil, blockedf("it has mapped memory of its own at %#x meanwhile", start)
	}
	return calls, nil
}

// covered says whether all of [start, end) is mapped, and as is says.
func covered(maps []mapping, start, end uint64, is func(mapping) bool) bool {
	for start < end {
		m, ok := findMapping(maps, start)
		if !ok || !is(m) {
			return false
		}
		start = m.end
	}
	return true
}

// ourCode and ourData say whether a mapping can be of a region.
func (m mapping) ourCode() bool {
	return m.read && m.exec && !m.write && !m.shared && !m.file() && m.path == ""
}

func (m mapping) ourData() bool {
	return m.read && m.write && !m.exec && !m.shared && !m.file() && m.path == ""
}

// reach is how far a jump or a rip-relative operand goes, with room to spare
// for the size of an instruction.
const reach = 1<<31 - 1<<16

// lowest is the lowest address at which memory is put: well above what the
// kernel reserves for catching null pointers (vm.mmap_min_addr).
const lowest = 1 << 20

// places lists where size bytes fit so that every byte of near is within reach,
// the nearest first.
func places(maps []mapping, size uint64, near []span) []uint64 {
	lo, hi := uint64(lowest), uint64(1<<47-pageSize)
	for _, s := range near {
		if s.end > reach {
			lo = max(lo, roundUp(s.end-reach))
		}
		hi = min(hi, s.start+reach)
	}
	var out []uint64
	for _, gap := range gaps(maps) {
		from, to := max(gap.start, lo), min(gap.end, hi)
		if to > from && to-from >= size {
			out = append(out, from, to-size)
		}
	}
	home := near[0].start
	slices.SortFunc(out, func(a, b uint64) int { return cmp.Compare(distance(a, home), distance(b, home)) })
	return slices.Compact(out)
}

// gaps are the free ranges. They keep a page from what is mapped, so that
// neither a neighbour's overrun nor the kernel's merging of mappings reaches us,
// and leave heap and stack room to grow.
func gaps(maps []mapping) []span {
	const top = 1<<47 - pageSize
	const growth = 256 << 20
	var out []span
	free := uint64(lowest)
	heap := false
	for i := 0; i <= len(maps); i++ {
		next := mapping{start: top, end: top}
		if i < len(maps) {
			next = maps[i]
		}
		gap := span{free + pageSize, min(next.start, top) - pageSize}
		if heap && gap.end > gap.start {
			gap.start += min(growth, (gap.end-gap.start)/2) &^ (pageSize - 1)
		}
		if next.path == "[stack]" && gap.end > gap.start {
			gap.end -= min(growth, (gap.end-gap.start)/2) &^ (pageSize - 1)
		}
		if gap.end > gap.start && next.start > free {
			out = append(out, gap)
		}
		free, heap = max(free, next.end), next.path == "[heap]"
	}
	return out
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }
