package elfinfo

import (
	"bytes"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

const (
	// PadBefore is how many NOP bytes a padded entry has before the function:
	// room for jmp *slot(%rip) and the slot.
	PadBefore = 14
	// jumpSize is the size of jmp rel32, shortJumpSize that of jmp rel8.
	jumpSize      = 5
	shortJumpSize = 2
)

// AnalyzeEntry says how an x86-64 function can be redirected, from its bytes
// alone. code are the bytes of the whole function, before those directly
// before it (at least [PadBefore] of them if it may be padded), addr is its
// address, for messages. It fails closed: what is not understood is [EntryNone].
//
// A padded entry is pristine: its 2-byte NOP has not been replaced by a jump.
// For a stock entry, whole instructions of at least 5 bytes after an optional
// endbr64 must work at another address, and no branch of the function may land
// behind the first of them. Nor may a jump lead back to where the detour
// will be: a loop that starts there would call the replacement in its middle.
func AnalyzeEntry(code, before []byte, addr uint64) Entry {
	offset := 0
	if bytes.HasPrefix(code, endbr64) {
		offset = len(endbr64)
	}
	body := code[offset:]
	if len(body) < shortJumpSize {
		return tooShort(code, offset)
	}
	if body[0] == 0xeb {
		return none("starts with a short jump at %#x: a detour or a patch may be there already", addr+uint64(offset))
	}
	if isTwoByteNop(body) && isPadding(before) {
		return checkBranches(code, Entry{Kind: EntryPadded, Offset: offset, Length: shortJumpSize})
	}
	length, reason := coverJump(body)
	if reason != "" {
		return none("%s within the %d bytes that a detour replaces", reason, jumpSize)
	}
	if length < jumpSize {
		return tooShort(code, offset)
	}
	return checkBranches(code, Entry{Kind: EntryStock, Offset: offset, Length: length})
}

func none(format string, args ...any) Entry {
	return Entry{Kind: EntryNone, Reason: fmt.Sprintf(format, args...)}
}

func tooShort(code []byte, offset int) Entry {
	return none("function is %d bytes, a detour needs %d", len(code), offset+jumpSize)
}

func isTwoByteNop(b []byte) bool {
	return b[1] == 0x90 && (b[0] == 0x90 || b[0] == 0x66)
}

// isPadding says whether the last PadBefore bytes are NOPs.
func isPadding(before []byte) bool {
	return len(before) >= PadBefore && bytes.Count(before[len(before)-PadBefore:], []byte{0x90}) == PadBefore
}

// coverJump is the length of the first whole instructions that make room for a
// jump, or the reason why they cannot be moved. It is less than jumpSize if
// the function ends before.
func coverJump(body []byte) (length int, reason string) {
	ended := false
	for length < jumpSize && length < len(body) {
		inst, ok := Decode(body[length:])
		switch {
		case ended:
			return 0, "has instructions after an unconditional jump or return"
		case !ok:
			return 0, fmt.Sprintf("has an unknown instruction (% x)", body[length:min(length+4, len(body))])
		}
		if reason := immovable(inst); reason != "" {
			return 0, reason
		}
		ended = isTerminator(inst.Op)
		length += inst.Len
	}
	return length, ""
}

// checkBranches turns a possible entry into EntryNone if a branch of the
// function lands in the bytes replaced. A call of the function's start is an
// ordinary recursive call. In a padded function a jump to the start is one as
// well: no compiler starts a loop before the padding.
func checkBranches(code []byte, entry Entry) Entry {
	end := int64(entry.Offset + entry.Length)
	branches(code, func(br branch) bool {
		switch {
		case br.to < 0 || br.to >= end, br.to == 0 && (br.call || entry.Kind == EntryPadded):
			return true
		case br.to == 0 || br.to == int64(entry.Offset):
			entry = none("a jump at +%#x leads back to the function's start: it may be a loop, which a detour would break", br.from)
		default:
			entry = none("a branch at +%#x lands at +%#x, inside the bytes that a detour replaces", br.from, br.to)
		}
		return false
	})
	return entry
}

// callsThroughPointer says whether code calls through a register or memory.
// Calls through a slot at a fixed address for which isSlot is true do not
// count: the linker made them from calls by name. addr is the address of code.
func callsThroughPointer(code []byte, addr uint64, isSlot func(uint64) bool) bool {
	for pos := 0; pos < len(code); {
		inst, ok := Decode(code[pos:])
		if !ok {
			pos++
			continue
		}
		pos += inst.Len
		if inst.Op != x86asm.CALL && inst.Op != x86asm.LCALL {
			continue
		}
		switch arg := inst.Args[0].(type) {
		case x86asm.Reg:
			return true
		case x86asm.Mem:
			if arg.Base != x86asm.RIP || !isSlot(addr+uint64(pos)+uint64(arg.Disp)) {
				return true
			}
		}
	}
	return false
}
