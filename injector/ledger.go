package injector

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The ledger is what a process remembers of its live patches: one control page
// and a chain of records, in memory of its own. docs/ledger-format.md is the
// specification; a frozen image of every released format is a test.

// LedgerFormat is the version of the ledger that this code writes. A process
// with a newer one is left alone (FOREIGN).
const LedgerFormat = 1

const (
	pageSize = 4096

	recordMagic      = "LPRECORD"
	recordHeaderSize = 64
	maxRecordPayload = 1 << 20
	maxRecords       = 4096
	// maxLedgerMemory bounds what a ledger takes here, in bytes: of a record
	// its text, and for every element of a list, for which two bytes of text are
	// enough, what the element takes.
	maxLedgerMemory = 64 << 20
	elementMemory   = 256
)

// errForeign: the process holds a patch, or a ledger, that is not ours to
// change: result FOREIGN.
type foreign struct{ reason string }

func (f *foreign) Error() string { return f.reason }

func foreignf(format string, args ...any) error {
	return &foreign{fmt.Sprintf(format, args...)}
}

// record says what one operation brought into the process. It never changes.
type record struct {
	// address is where the record lies, prev the record before it (0: none).
	address, prev uint64

	Time time.Time `json:"time"`
	// Start and Size are the memory that the operation mapped.
	Start uint64 `json:"start"`
	Size  uint64 `json:"size"`
	// Room is where later operations may put a stub, roomSize bytes; 0: nowhere.
	Room       uint64            `json:"room,omitempty"`
	Containers []recordContainer `json:"containers"`
	Detours    []detour          `json:"detours,omitempty"`
}

// recordContainer is one container that was loaded.
type recordContainer struct {
	// ID is the SHA-256 of the container file, in hexadecimal.
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Set        string   `json:"set,omitempty"`
	SetVersion string   `json:"set_version,omitempty"`
	Patch      string   `json:"patch,omitempty"`
	References []string `json:"references,omitempty"`
	// PatchID is the patch id in hexadecimal, Depends those of the live patches
	// that have to be in force as long as this one is.
	PatchID string   `json:"patch_id,omitempty"`
	Depends []string `json:"depends,omitempty"`
	// Library, Soname, BuildID and Bias (load address minus link address) are
	// the target library as it was mapped.
	Library   string           `json:"library"`
	Soname    string           `json:"soname"`
	BuildID   string           `json:"build_id"`
	Bias      uint64           `json:"bias"`
	Functions []recordFunction `json:"functions"`
	// Start and Size are the memory in which the container lies; 0 if an earlier
	// release loaded it.
	Start uint64 `json:"start,omitempty"`
	Size  uint64 `json:"size,omitempty"`
	// Imports are the objects that the container's references were bound to.
	Imports []recordObject `json:"imports,omitempty"`
}

// recordFunction is one replacement: Address is the original's entry, New the
// replacement's; Size and NewSize are their sizes in bytes, 0 if not known.
type recordFunction struct {
	Old     string `json:"old"`
	Address uint64 `json:"address"`
	Size    uint64 `json:"size,omitempty"`
	New     uint64 `json:"new"`
	NewSize uint64 `json:"new_size,omitempty"`
}

// recordObject is one mapped file.
type recordObject struct {
	BuildID string `json:"build_id"`
	Bias    uint64 `json:"bias"`
}

// encode gives header and payload: magic 8, format u32, payload length u32,
// previous record u64, zero u64, SHA-256 of the payload 32, payload (JSON).
func (r *record) encode() ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("ledger record: %w", err)
	}
	if len(payload) > maxRecordPayload {
		return nil, fmt.Errorf("ledger record: %d bytes, the limit is %d", len(payload), maxRecordPayload)
	}
	head := make([]byte, recordHeaderSize, recordHeaderSize+len(payload))
	copy(head, recordMagic)
	binary.LittleEndian.PutUint32(head[8:], LedgerFormat)
	binary.LittleEndian.PutUint32(head[12:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(head[16:], r.prev)
	sum := sha256.Sum256(payload)
	copy(head[32:], sum[:])
	return append(head, payload...), nil
}

// readerAt reads memory of a process: the whole buffer, or an error.
type readerAt interface {
	readAt(buf []byte, addr uint64) error
}

// readRecord reads the record at addr, and takes what it costs off memory.
func readRecord(m readerAt, addr uint64, memory *int) (*record, error) {
	head := make([]byte, recordHeaderSize)
	if err := m.readAt(head, addr); err != nil {
		return nil, err
	}
	if string(head[:8]) != recordMagic {
		return nil, foreignf("its ledger is damaged: no record at %#x", addr)
	}
	if f := binary.LittleEndian.Uint32(head[8:]); f == 0 || f > LedgerFormat {
		return nil, foreignf("its ledger has a record of format %d, this program knows up to %d", f, LedgerFormat)
	}
	size := binary.LittleEndian.Uint32(head[12:])
	if size > maxRecordPayload {
		return nil, foreignf("its ledger is damaged: a record of %d bytes at %#x", size, addr)
	}
	payload := make([]byte, size)
	if err := m.readAt(payload, addr+recordHeaderSize); err != nil {
		return nil, err
	}
	*memory -= len(payload) + elementMemory*bytes.Count(payload, []byte(","))
	if *memory < 0 {
		return nil, foreignf("its ledger is damaged: it takes more than %d MiB", maxLedgerMemory>>20)
	}
	if sum := sha256.Sum256(payload); !bytes.Equal(sum[:], head[32:]) {
		return nil, foreignf("its ledger is damaged: wrong checksum of the record at %#x", addr)
	}
	r := &record{address: addr, prev: binary.LittleEndian.Uint64(head[16:])}
	if err := json.Unmarshal(payload, r); err != nil {
		return nil, foreignf("its ledger is damaged: record at %#x: %v", addr, err)
	}
	return r, r.check()
}

// check bounds what a record may ask this program to believe.
func (r *record) check() error {
	for i := range r.Detours {
		if err := r.Detours[i].check(); err != nil {
			return foreignf("its ledger is damaged: record at %#x: %v", r.address, err)
		}
	}
	return nil
}

// ledger is a whole ledger as read from a process.
type ledger struct {
	control
	// address is where the control page lies.
	address uint64
	// records are all records, newest first.
	records []*record
	// detours are all detours ever prepared, by the address that they patch.
	detours map[uint64]*detour
}

// maxLedgerSearch bounds in bytes what is searched of one mapping, and
// maxLedgerSearches of all, behind their first pages.
const (
	maxLedgerSearch   = 64 << 20
	maxLedgerSearches = 256 << 20
)

// readLedger finds and reads the ledger of a process; nil if it has none. As a
// rule its control page begins a mapping; but the kernel merges neighbouring
// mappings of equal kind (code of a just-in-time compiler and ours).
func readLedger(m readerAt, maps []mapping) (*ledger, error) {
	var rest []span
	for _, mp := range maps {
		if !mayHoldLedger(mp) {
			continue
		}
		l, err := findLedger(m, span{mp.start, mp.start + pageSize})
		if err != nil || l != nil {
			return l, err
		}
		rest = append(rest, span{mp.start + pageSize, min(mp.end, mp.start+maxLedgerSearch)})
	}
	left := uint64(maxLedgerSearches)
	for _, s := range rest {
		if s.end-s.start > left {
			break
		}
		left -= s.end - s.start
		l, err := findLedger(m, s)
		if err != nil || l != nil {
			return l, err
		}
	}
	return nil, nil
}

// mayHoldLedger says whether a mapping can hold a control page: ours are
// private anonymous memory, mapped readable and executable with the rest of
// their region. A switchover makes the page writable for a moment, and then
// readable only: a mapping of one page.
func mayHoldLedger(m mapping) bool {
	if !m.read || m.shared || m.file() || m.path != "" && m.path[0] == '[' {
		return false
	}
	return m.exec && !m.write || !m.exec && m.end-m.start == pageSize
}

// findLedger looks for a control page at the start of every page.
func findLedger(m readerAt, s span) (*ledger, error) {
	magic := make([]byte, len(controlMagic))
	for addr := s.start; addr < s.end; addr += pageSize {
		if err := m.readAt(magic, addr); err != nil {
			if errors.Is(err, ErrGone) {
				return nil, err
			}
			return nil, nil // unmapped meanwhile
		}
		if string(magic) == controlMagic {
			return readLedgerAt(m, addr)
		}
	}
	return nil, nil
}

// readLedgerAt reads the ledger whose control page lies at addr.
func readLedgerAt(m readerAt, addr uint64) (*ledger, error) {
	c, err := readControl(m, addr)
	if err != nil {
		return nil, err
	}
	l := &ledger{control: *c, address: addr, detours: make(map[uint64]*detour)}
	memory := maxLedgerMemory
	seen := make(map[uint64]bool)
	for at := c.newest; at != 0; {
		if len(l.records) == maxRecords || seen[at] {
			return nil, foreignf("its ledger is damaged: its records have no end")
		}
		seen[at] = true
		r, err := readRecord(m, at, &memory)
		if err != nil {
			return nil, err
		}
		l.records = append(l.records, r)
		at = r.prev
	}
	return l, l.index()
}

// index fills detours and checks that what is active refers to what is there.
func (l *ledger) index() error {
	for _, r := range l.records {
		for i := range r.Detours {
			d := &r.Detours[i]
			if d.Slot >= len(l.slots) {
				return foreignf("its ledger is damaged: slot %d of %d", d.Slot, len(l.slots))
			}
			if _, ok := l.detours[d.Address]; !ok {
				l.detours[d.Address] = d
			}
		}
	}
	for _, a := range l.active {
		if l.container(a) == nil {
			return foreignf("its ledger is damaged: container %d of the record at %#x", a.index, a.record)
		}
	}
	return nil
}

// container finds the container that a reference names, nil if there is none.
func (l *ledger) container(a activeRef) *recordContainer {
	for _, r := range l.records {
		if r.address == a.record && int(a.index) < len(r.Containers) {
			return &r.Containers[a.index]
		}
	}
	return nil
}
