package injector

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/arch/x86/x86asm"

	"github.com/lpbuild/lpbuild/elfinfo"
)

const (
	// nearJump is the length of jmp rel32, which a stock entry receives.
	nearJump = 5
	// slotJump is the length of jmp *disp32(%rip).
	slotJump = 6
	// trampolineSize is what one stock detour takes beside the container: the
	// jump through the slot, and the moved instructions with a jump back.
	trampolineSize = 96
	relocatedAt    = 16
)

var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// A plannedEntry is a function to detour: its place and the bytes it has.
type plannedEntry struct {
	function uint64
	kind     string
	// offset and length say where the jump goes and what it covers, as
	// elfinfo.Entry does.
	offset, length int
	// code are the function's bytes as shipped, at least offset+length of them.
	code []byte
	// before are the bytes before a padded entry, at least slotJump of them, or
	// filler before a stock one whose near jump would straddle two pages.
	before  []byte
	buildID string
	bias    uint64
}

// newDetour makes the detour for an entry: slot is the address of its slot,
// trampoline trampolineSize bytes of memory for it (unused if padded). It
// returns the detour and the trampoline's content.
func newDetour(e plannedEntry, slot, trampoline uint64) (*detour, []byte, error) {
	d := &detour{
		Function: e.function, Address: e.function + uint64(e.offset), Kind: e.kind,
		BuildID: e.buildID, Bias: e.bias,
	}
	if e.kind == "padded" {
		return d, nil, d.fillPadded(e, slot)
	}
	content, err := d.fillStock(e, slot, trampoline)
	return d, content, err
}

// fillPadded uses the padding of -fpatchable-function-entry: the jump through
// the slot lies in the last bytes before the function, the 2-byte NOP at the
// entry becomes a jump there.
func (d *detour) fillPadded(e plannedEntry, slot uint64) error {
	if len(e.before) < slotJump || len(e.code) < e.offset+2 {
		return fmt.Errorf("padded function at %#x: %d bytes of padding", e.function, len(e.before))
	}
	if crossesPage(d.Address, 2) {
		return blockedf("the entry of the function at %#x straddles two pages", e.function)
	}
	if err := d.jumpBack(e, slot); err != nil {
		return err
	}
	d.Old = d.Address + 2
	if d.Original[0] == 0x90 { // two 1-byte NOPs: a thread may stand between them
		d.Moves = []move{{1, d.Old}}
	}
	return nil
}

// jumpBack puts the jump through the slot into the last bytes before the
// function, and a 2-byte jump there at the entry.
func (d *detour) jumpBack(e plannedEntry, slot uint64) error {
	jump, err := jumpThrough(e.function-slotJump, slot)
	if err != nil {
		return err
	}
	d.Before = jump
	d.BeforeOriginal = bytes.Clone(e.before[len(e.before)-slotJump:])
	d.Original = bytes.Clone(e.code[e.offset : e.offset+2])
	back := -slotJump - e.offset - 2
	d.Installed = []byte{0xeb, byte(int8(back))}
	return nil
}

// fillStock moves the first instructions away and puts a near jump there.
func (d *detour) fillStock(e plannedEntry, slot, trampoline uint64) ([]byte, error) {
	if len(e.code) < e.offset+e.length || e.length < nearJump {
		return nil, fmt.Errorf("function at %#x: %d bytes to cover, a detour needs %d", e.function, e.length, nearJump)
	}
	if err := d.jumpAway(e, slot, trampoline); err != nil {
		return nil, err
	}
	content := bytes.Repeat([]byte{0xcc}, trampolineSize)
	through, err := jumpThrough(trampoline, slot)
	if err != nil {
		return nil, err
	}
	copy(content, through)
	d.Old = trampoline + relocatedAt
	copy(content[relocatedAt:], endbr64) // reached by an indirect jump
	moved, moves, err := relocate(e.code[e.offset:e.offset+e.length], d.Address, d.Old+uint64(len(endbr64)))
	if err != nil {
		return nil, fmt.Errorf("function at %#x: %w", e.function, err)
	}
	if relocatedAt+len(endbr64)+len(moved) > trampolineSize {
		return nil, blockedf("the first instructions of the function at %#x take too much room elsewhere", e.function)
	}
	copy(content[relocatedAt+len(endbr64):], moved)
	d.Moves = moves
	return content, nil
}

// jumpAway puts the near jump at the entry. Where that would straddle two
// pages, which no single write changes, a 2-byte jump must do: into filler
// before the function.
func (d *detour) jumpAway(e plannedEntry, slot, trampoline uint64) error {
	switch {
	case !crossesPage(d.Address, nearJump):
		jump, err := jumpTo(d.Address, trampoline)
		d.Original, d.Installed = bytes.Clone(e.code[e.offset:e.offset+nearJump]), jump
		return err
	case crossesPage(d.Address, 2) || len(e.before) < slotJump:
		return blockedf("the entry of the function at %#x straddles two pages", e.function)
	}
	return d.jumpBack(e, slot)
}

// crossesPage: such bytes can't be written in one step.
func crossesPage(addr uint64, n int) bool {
	return addr/pageSize != (addr+uint64(n)-1)/pageSize
}

// jumpTo is `jmp to` for the place at.
func jumpTo(at, to uint64) ([]byte, error) {
	rel, err := displacement(at+nearJump, to)
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32([]byte{0xe9}, rel), nil
}

// jumpThrough is `jmp *slot(%rip)` for the place at.
func jumpThrough(at, slot uint64) ([]byte, error) {
	rel, err := displacement(at+slotJump, slot)
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32([]byte{0xff, 0x25}, rel), nil
}

// displacement is the distance from the end of an instruction as 32 bits.
func displacement(end, to uint64) (uint32, error) {
	rel := int64(to - end)
	if rel < math.MinInt32 || rel > math.MaxInt32 {
		return 0, fmt.Errorf("%#x and %#x: %w", end, to, errFar)
	}
	return uint32(int32(rel)), nil
}

// relocate moves whole instructions from one address to another, so that they
// do there what they did, and appends a jump to what follows them. Relative
// jumps become their long forms, rip-relative operands are corrected; what
// can't be moved is refused.
func relocate(code []byte, from, to uint64) ([]byte, []move, error) {
	var out []byte
	var moves []move
	for at := 0; at < len(code); {
		inst, ok := elfinfo.Decode(code[at:])
		if !ok {
			return nil, nil, blockedf("its first instructions can't be read: % x", code[at:])
		}
		raw := code[at : at+inst.Len]
		if at > 0 {
			moves = append(moves, move{uint64(at), to + uint64(len(out))})
		}
		next := from + uint64(at) + uint64(inst.Len)
		moved, err := moveInstruction(inst, raw, next, to+uint64(len(out)))
		if err != nil {
			return nil, nil, err
		}
		out = append(out, moved...)
		at += inst.Len
	}
	back, err := jumpTo(to+uint64(len(out)), from+uint64(len(code)))
	return append(out, back...), moves, err
}

// moveInstruction gives one instruction for the place to; next is the address
// behind it where it is now.
func moveInstruction(inst x86asm.Inst, raw []byte, next, to uint64) ([]byte, error) {
	field := inst.PCRelOff
	switch avx := elfinfo.AVXDisplacement(raw); {
	case inst.Op == x86asm.CALL:
		return moveCall(inst, raw, next, to)
	case avx != 0:
		field = avx
	case inst.PCRel == 0:
		return bytes.Clone(raw), nil
	case isBranch(inst):
		return moveBranch(inst, raw, next, to)
	case inst.PCRel != 4:
		return nil, blockedf("its first instructions can't be moved: %v", inst)
	}
	out := bytes.Clone(raw)
	operand := next + uint64(int64(int32(binary.LittleEndian.Uint32(out[field:]))))
	rel, err := displacement(to+uint64(len(out)), operand)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(out[field:], rel)
	return out, nil
}

// isBranch says whether an instruction is a relative jump or call.
func isBranch(inst x86asm.Inst) bool {
	_, relative := inst.Args[0].(x86asm.Rel)
	return relative
}

// moveCall gives what does the same as a call of a fixed place, or through a
// slot at one, and returns to where the call would have: to the address behind
// it, of which unwinders know the frame. No flag changes.
func moveCall(inst x86asm.Inst, raw []byte, next, to uint64) ([]byte, error) {
	out := []byte{0x48, 0x8d, 0x64, 0x24, 0xf8} // lea -8(%rsp),%rsp
	out = binary.LittleEndian.AppendUint32(append(out, 0xc7, 0x04, 0x24), uint32(next))
	out = binary.LittleEndian.AppendUint32(append(out, 0xc7, 0x44, 0x24, 0x04), uint32(next>>32))
	switch {
	case len(raw) == nearJump && raw[0] == 0xe8, len(raw) == nearJump+1 && raw[0] == 0x67 && raw[1] == 0xe8:
		// The prefix is how linkers fill up a call through a slot that needs none.
		jump, err := jumpTo(to+uint64(len(out)), next+uint64(int64(inst.Args[0].(x86asm.Rel))))
		return append(out, jump...), err
	case len(raw) == slotJump && raw[0] == 0xff && raw[1] == 0x15:
		slot := next + uint64(int64(int32(binary.LittleEndian.Uint32(raw[2:]))))
		jump, err := jumpThrough(to+uint64(len(out)), slot)
		return append(out, jump...), err
	}
	return nil, blockedf("its first instructions can't be moved: %v", inst)
}

// movesCall says whether a call is among the instructions to be moved. On a
// shadow stack (CET) its return would be a fault.
func (e *plannedEntry) movesCall() bool {
	if e.kind != string(elfinfo.EntryStock) {
		return false
	}
	for code := e.code[e.offset : e.offset+e.length]; len(code) > 0; {
		inst, ok := elfinfo.Decode(code)
		if !ok || inst.Op == x86asm.CALL {
			return ok
		}
		code = code[inst.Len:]
	}
	return false
}

// moveBranch gives the long form of a relative jump; loop and jrcxz have none.
func moveBranch(inst x86asm.Inst, raw []byte, next, to uint64) ([]byte, error) {
	target := next + uint64(int64(inst.Args[0].(x86asm.Rel)))
	opcode := raw[0]
	var long []byte
	switch {
	case opcode == 0xeb || opcode == 0xe9:
		long = []byte{0xe9}
	case opcode >= 0x70 && opcode <= 0x7f:
		long = []byte{0x0f, 0x80 + opcode&0x0f}
	case opcode == 0x0f && len(raw) == 6 && raw[1]&0xf0 == 0x80:
		long = []byte{0x0f, raw[1]}
	default:
		return nil, blockedf("its first instructions can't be moved: %v", inst)
	}
	rel, err := displacement(to+uint64(len(long))+4, target)
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32(long, rel), nil
}
