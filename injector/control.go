package injector

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// errNotControl: the page is not a control page at all.
var errNotControl = errors.New("not a ledger control page")

// control is the content of the control page, the only part of a ledger that
// ever changes.
type control struct {
	// sequence counts the changes.
	sequence uint64
	// newest is the address of the newest record, 0 if there is none.
	newest uint64
	// active are the live patches in force, oldest first.
	active []activeRef
	// slots are the addresses that detours lead to, by slot number.
	slots []uint64
}

// activeRef names one container of one record.
type activeRef struct {
	record uint64
	index  uint32
}

// The control page, little endian: magic 8, format u32, page size u32; then two
// statements; then the slots, u64 each. A statement is a CRC-32C of all of it
// that follows u32, number of slots u32, number of active containers u32, zero
// u32, sequence u64, newest record u64, and 64 times {record u64, index u32,
// zero u32}.
//
// The statement that is whole and has the higher sequence number counts; a
// change writes the other one. So whoever has a copy of the page from the midst
// of a change, as a child has that was forked then, has a statement that
// counts, and can put the slots right by it.
const (
	controlMagic   = "LPLEDGER"
	activeCapacity = 64

	statementsOffset = 16
	statementSize    = 32 + 16*activeCapacity
	slotsOffset      = statementsOffset + 2*statementSize
	slotCapacity     = (pageSize - slotsOffset) / 8
)

// slotAddress is where a slot lies, given the address of the control page.
func slotAddress(controlPage uint64, slot int) uint64 {
	return controlPage + slotsOffset + 8*uint64(slot)
}

// encode gives a new page, with one statement.
func (c *control) encode() []byte {
	page := make([]byte, pageSize)
	copy(page, controlMagic)
	binary.LittleEndian.PutUint32(page[8:], LedgerFormat)
	binary.LittleEndian.PutUint32(page[12:], pageSize)
	c.change(page)
	return page
}

// change makes the changes in a page: all slots, and the statement.
func (c *control) change(page []byte) {
	for i, s := range c.slots {
		binary.LittleEndian.PutUint64(page[slotsOffset+8*i:], s)
	}
	copy(page[c.statementOffset():], c.statement())
}

// statementOffset is where in the page the statement belongs: not where the one
// before it is.
func (c *control) statementOffset() int { return statementsOffset + int(c.sequence%2)*statementSize }

func (c *control) statement() []byte {
	le := binary.LittleEndian
	b := make([]byte, statementSize)
	le.PutUint32(b[4:], uint32(len(c.slots)))
	le.PutUint32(b[8:], uint32(len(c.active)))
	le.PutUint64(b[16:], c.sequence)
	le.PutUint64(b[24:], c.newest)
	for i, a := range c.active {
		le.PutUint64(b[32+16*i:], a.record)
		le.PutUint32(b[32+16*i+8:], a.index)
	}
	le.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// decodeControl reads a control page. It returns errNotControl for a page
// without the magic, and a foreign error for a newer or damaged one.
func decodeControl(page []byte) (*control, error) {
	le := binary.LittleEndian
	if len(page) < pageSize || string(page[:8]) != controlMagic {
		return nil, errNotControl
	}
	if f := le.Uint32(page[8:]); f == 0 || f > LedgerFormat {
		return nil, foreignf("its ledger has format %d, this program knows up to %d: use the newer program", f, LedgerFormat)
	}
	if le.Uint32(page[12:]) != pageSize {
		return nil, foreignf("its ledger is damaged")
	}
	var newest *control
	for half := range 2 {
		c := decodeStatement(page, half)
		if c != nil && (newest == nil || c.sequence > newest.sequence) {
			newest = c
		}
	}
	if newest == nil {
		return nil, foreignf("its ledger is damaged")
	}
	return newest, nil
}

// decodeStatement reads one of the two statements, nil if it is not whole or is
// where the other one belongs.
func decodeStatement(page []byte, half int) *control {
	le := binary.LittleEndian
	b := page[statementsOffset+half*statementSize:][:statementSize]
	nslots, nactive := le.Uint32(b[4:]), le.Uint32(b[8:])
	if le.Uint32(b) != crc32.Checksum(b[4:], castagnoli) || nslots > slotCapacity || nactive > activeCapacity {
		return nil
	}
	c := &control{sequence: le.Uint64(b[16:]), newest: le.Uint64(b[24:])}
	if c.sequence%2 != uint64(half) {
		return nil
	}
	for i := range int(nactive) {
		c.active = append(c.active, activeRef{le.Uint64(b[32+16*i:]), le.Uint32(b[32+16*i+8:])})
	}
	for i := range int(nslots) {
		c.slots = append(c.slots, le.Uint64(page[slotsOffset+8*i:]))
	}
	return c
}

// readControl reads the control page at addr. Another injector may write it at
// this very moment: what looks damaged is read again, for longer than a write
// takes.
func readControl(m readerAt, addr uint64) (*control, error) {
	const tries, pause = 6, 100 * time.Microsecond
	page := make([]byte, pageSize)
	for try := 1; ; try++ {
		if err := m.readAt(page, addr); err != nil {
			return nil, err
		}
		c, err := decodeControl(page)
		var f *foreign
		if try == tries || !errors.As(err, &f) {
			return c, err
		}
		nanosleep(pause << try)
	}
}
