package elfinfo

import "debug/elf"

// UnwindOf says what may unwind through the function of that name at addr, of
// which code are the bytes: what [NewBuild] records, for a file that is at hand
// without a record. Cancellation is known by name alone, in libc. Errors are
// those of [File.Relocations].
func (f *File) UnwindOf(name string, addr uint64, code []byte) (Unwind, error) {
	slots, err := f.namedSlots()
	if err != nil {
		return Unwind{}, err
	}
	return Unwind{
		Personality:  f.readFrames().personality(addr),
		CallsBack:    callsThroughPointer(code, addr, func(at uint64) bool { return slots[at] }),
		Cancellation: isLibc(f.Soname()) && IsCancellationPoint(name),
	}, nil
}

// namedSlots are the places that relocations by name fill: what is called
// through one of them is not a pointer that a caller has given.
func (f *File) namedSlots() (map[uint64]bool, error) {
	relocations, err := f.Relocations()
	if err != nil {
		return nil, err
	}
	slots := make(map[uint64]bool)
	for _, rel := range relocations {
		switch rel.Type {
		case elf.R_X86_64_GLOB_DAT, elf.R_X86_64_JMP_SLOT, elf.R_X86_64_IRELATIVE:
			slots[rel.Offset] = true
		}
	}
	return slots, nil
}
