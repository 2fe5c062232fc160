package injector

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the frozen image of the current ledger format")

// image is memory of a process that a test made up: pages by address.
type memory map[uint64][]byte

func (m memory) readAt(buf []byte, addr uint64) error {
	for start, content := range m {
		if addr >= start && addr-start < uint64(len(content)) && uint64(len(content))-(addr-start) >= uint64(len(buf)) {
			copy(buf, content[addr-start:])
			return nil
		}
	}
	return fmt.Errorf("no memory at %#x", addr)
}

const ledgerAt, recordAt = 0x7f0000001000, 0x7f0000002000

func sampleRecord() *record {
	return &record{
		address: recordAt, Time: time.Date(2026, 11, 22, 4, 5, 6, 0, time.UTC),
		Start: ledgerAt, Size: 0x5000,
		Containers: []recordContainer{{
			ID: "00ff", Name: "malloc_glibc-2.31-1.x86_64_libc.so.6_01234567.so", Set: "glibc-livepatches",
			SetVersion: "0.1", Patch: "malloc", References: []string{"CVE-2026-0001"},
			Library: "/lib64/libc.so.6", Soname: "libc.so.6", BuildID: "0123456789", Bias: 0x7f0000100000,
			Functions: []recordFunction{{Old: "__libc_malloc", Address: 0x7f0000180000, New: 0x7f0000004010}},
			Imports:   []recordObject{{BuildID: "0123456789", Bias: 0x7f0000100000}},
		}},
		Detours: []detour{{
			Slot: 0, Function: 0x7f0000180000, Address: 0x7f0000180004, Kind: "stock",
			Original: []byte{0x41, 0x54, 0x55, 0x53, 0x48}, Installed: []byte{0xe9, 1, 2, 3, 4},
			Old: 0x7f0000003010, Moves: []move{{2, 0x7f0000003016}}, BuildID: "0123456789", Bias: 0x7f0000100000,
		}},
	}
}

func sampleMemory(t testing.TB) memory {
	t.Helper()
	rec, err := sampleRecord().encode()
	if err != nil {
		t.Fatal(err)
	}
	page := (&control{
		sequence: 2, newest: recordAt, active: []activeRef{{recordAt, 0}}, slots: []uint64{0x7f0000004010},
	}).encode()
	return memory{ledgerAt: page, recordAt: rec}
}

var ledgerMapping = mapping{start: ledgerAt, end: ledgerAt + pageSize, read: true, exec: true}

func TestLedgerIsReadBackAsWritten(t *testing.T) {
	l, err := readLedger(sampleMemory(t), []mapping{ledgerMapping})
	if err != nil {
		t.Fatal(err)
	}
	want := []*record{sampleRecord()}
	if diff := cmp.Diff(want, l.records, cmp.AllowUnexported(record{})); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if c := l.container(l.active[0]); c == nil || c.ID != "00ff" {
		t.Errorf("active container: %+v", c)
	}
	if d := l.detours[0x7f0000180004]; d == nil || l.slots[d.Slot] != 0x7f0000004010 {
		t.Errorf("detour: %+v", d)
	}
}

// A process patched by an earlier release must be understood for ever.
func TestFrozenLedgerImages(t *testing.T) {
	const current = "testdata/ledger-1"
	if *update {
		m := sampleMemory(t)
		for name, at := range map[string]uint64{"control": ledgerAt, "record": recordAt} {
			if err := os.WriteFile(current+"."+name, m[at], 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	images, err := filepath.Glob("testdata/ledger-*.control")
	if err != nil || len(images) != LedgerFormat {
		t.Fatalf("%d frozen images, %d formats: %v", len(images), LedgerFormat, err)
	}
	for _, name := range images {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := os.ReadFile(name[:len(name)-len("control")] + "record")
		if err != nil {
			t.Fatal(err)
		}
		l, err := readLedger(memory{ledgerAt: page, recordAt: rec}, []mapping{ledgerMapping})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]*record{sampleRecord()}, l.records, cmpopts.IgnoreUnexported(record{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLedgerOfANewerReleaseIsLeftAlone(t *testing.T) {
	for name, damage := range map[string]func(memory){
		"newer control page": func(m memory) { binary.LittleEndian.PutUint32(m[ledgerAt][8:], LedgerFormat+1) },
		"newer record":       func(m memory) { binary.LittleEndian.PutUint32(m[recordAt][8:], LedgerFormat+1) },
		"checksum":           func(m memory) { m[ledgerAt][statementsOffset+8] ^= 1 },
		"record's checksum":  func(m memory) { m[recordAt][recordHeaderSize+5] ^= 1 },
		"record's length":    func(m memory) { binary.LittleEndian.PutUint32(m[recordAt][12:], maxRecordPayload+1) },
		"no record": func(m memory) {
			copy(m[ledgerAt], (&control{newest: recordAt + 8}).encode())
			m[recordAt] = append(m[recordAt], make([]byte, 64)...)
		},
		"slot out of range":    func(m memory) { copy(m[ledgerAt], (&control{newest: recordAt}).encode()) },
		"records in a circle":  circle,
		"elements without end": func(m memory) { m[recordAt] = wideRecord(maxRecordPayload); widen(m) },
		"active out of range":  func(m memory) { copy(m[ledgerAt], badActive(7).encode()) },
		"active in no record":  func(m memory) { c := badActive(0); c.active[0].record++; copy(m[ledgerAt], c.encode()) },
		"too many slots":       func(m memory) { binary.LittleEndian.PutUint32(m[ledgerAt][statementsOffset+4:], slotCapacity+1) },
		"too many active ones": func(m memory) { binary.LittleEndian.PutUint32(m[ledgerAt][statementsOffset+8:], activeCapacity+1) },
	} {
		m := sampleMemory(t)
		damage(m)
		_, err := readLedger(m, []mapping{ledgerMapping})
		var f *foreign
		if !errors.As(err, &f) {
			t.Errorf("%s: %v, want it to be foreign", name, err)
		}
	}
}

// tornMemory shows half of an older control page the first times that the page
// is read, as if it were being written.
type tornMemory struct {
	memory
	reads int
}

func (m *tornMemory) readAt(buf []byte, addr uint64) error {
	if err := m.memory.readAt(buf, addr); err != nil || addr != ledgerAt || len(buf) < pageSize {
		return err
	}
	if m.reads++; m.reads < 4 {
		copy(buf[statementsOffset+statementSize/2:], make([]byte, 2*statementSize))
	}
	return nil
}

func TestLedgerThatIsBeingWritten(t *testing.T) {
	m := &tornMemory{memory: sampleMemory(t)}
	l, err := readLedger(m, []mapping{ledgerMapping})
	if err != nil || len(l.records) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
}

func badActive(index uint32) *control {
	return &control{newest: recordAt, slots: []uint64{1}, active: []activeRef{{recordAt, index}}}
}

// wideRecord is a record whose text says little and takes much memory.
func wideRecord(size int) []byte {
	const begin, end = `{"containers":[0`, `]}`
	payload := begin + strings.Repeat(",{}", (size-len(begin)-len(end))/3) + end
	payload = strings.Replace(payload, "[0,", "[", 1)
	head := make([]byte, recordHeaderSize)
	copy(head, recordMagic)
	binary.LittleEndian.PutUint32(head[8:], LedgerFormat)
	binary.LittleEndian.PutUint32(head[12:], uint32(len(payload)))
	sum := sha256.Sum256([]byte(payload))
	copy(head[32:], sum[:])
	return append(head, payload...)
}

// widen lets a record refer to nothing that is not there, so that only its size
// speaks against it.
func widen(m memory) { copy(m[ledgerAt], (&control{newest: recordAt}).encode()) }

// However many pages of its memory may hold a ledger, the search ends.
func TestSearchForALedgerIsBounded(t *testing.T) {
	var maps []mapping
	for i := range uint64(1000) {
		start := ledgerAt + i<<30
		maps = append(maps, mapping{start: start, end: start + 1<<29, read: true, exec: true})
	}
	reads := 0
	l, err := readLedger(countingMemory{&reads}, maps)
	if l != nil || err != nil {
		t.Fatalf("%v, %v", l, err)
	}
	if reads > 100_000 {
		t.Errorf("%d reads", reads)
	}
}

// countingMemory is zero everywhere.
type countingMemory struct{ reads *int }

func (m countingMemory) readAt(buf []byte, _ uint64) error {
	*m.reads++
	clear(buf)
	return nil
}

func circle(m memory) {
	r := sampleRecord()
	r.prev, r.Detours = recordAt, nil
	m[recordAt], _ = r.encode()
}

// Whatever bytes a process holds, reading its ledger ends, and what is accepted
// is written back as it was.
func FuzzLedger(f *testing.F) {
	m := sampleMemory(f)
	f.Add(m[ledgerAt], m[recordAt])
	f.Add(badActive(0).encode(), m[recordAt])
	f.Fuzz(func(t *testing.T, page, rec []byte) {
		l, err := readLedger(memory{ledgerAt: page, recordAt: rec}, []mapping{ledgerMapping})
		if err != nil || l == nil {
			return
		}
		now := bytes.Clone(page)
		l.control.change(now)
		if c, err := decodeControl(now); err != nil || cmp.Diff(l.control, *c, cmp.AllowUnexported(control{}, activeRef{})) != "" {
			t.Errorf("control page %+v written back as %+v, %v", l.control, c, err)
		}
	})
}

// A child that was forked in the midst of a change has a copy of the page with
// some of the words of the new state: it is read as the old state or the new
// one, whichever words those are.
func TestLedgerCopiedInTheMidstOfAChange(t *testing.T) {
	before := control{sequence: 6, newest: recordAt, active: []activeRef{{recordAt, 0}}, slots: []uint64{1, 2, 3}}
	after := control{sequence: 7, newest: recordAt, active: []activeRef{{recordAt, 1}, {recordAt, 2}}, slots: []uint64{1, 5, 6}}
	page := before.encode()
	c := composed{final: after}
	words := c.switchover(page).words
	if len(words) < 6 {
		t.Fatalf("only %d words change", len(words))
	}
	for n := range len(words) + 1 {
		torn := bytes.Clone(page)
		for _, w := range words[:n] {
			binary.LittleEndian.PutUint64(torn[w.address:], w.value)
		}
		got, err := decodeControl(torn)
		if err != nil {
			t.Fatalf("after %d words: %v", n, err)
		}
		want := before
		if n == len(words) {
			want = after
		}
		if got.sequence != want.sequence || !cmp.Equal(got.active, want.active, cmp.AllowUnexported(activeRef{})) {
			t.Errorf("after %d words: %+v, want %+v", n, got, want)
		}
	}
}
