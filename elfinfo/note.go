package elfinfo

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
)

// ntGNUBuildID is NT_GNU_BUILD_ID, the type of a build-id note of owner "GNU".
const ntGNUBuildID = 3

// maxBuildID is the largest build-id in bytes that is believed: ld's
// --build-id=0x… allows any length, digests have 8 to 32 bytes.
const maxBuildID = 64

// readBuildID looks through PT_NOTE segments, or in a separate debug file,
// whose program headers may point anywhere, through SHT_NOTE sections.
func (f *File) readBuildID() error {
	for _, n := range f.notes() {
		if n.size > maxNotes {
			return f.bad("notes of %d bytes", n.size)
		}
		b, err := f.src.bytes(n.off, n.size)
		if err != nil {
			return fmt.Errorf("%s: notes: %w", f.name, err)
		}
		id, err := findBuildID(b, n.align)
		if err != nil {
			return fmt.Errorf("%s: notes at %#x: %w", f.name, n.off, err)
		}
		if id != "" {
			f.buildID = id
			return nil
		}
	}
	return nil
}

// noteArea is a run of notes in the source.
type noteArea struct{ off, size, align uint64 }

func (f *File) notes() []noteArea {
	var areas []noteArea
	if f.debugOnly || f.header.Type == elf.ET_REL {
		for _, s := range f.sections {
			if s.Type == elf.SHT_NOTE {
				areas = append(areas, noteArea{s.Offset, s.FileSize, s.Addralign})
			}
		}
		return areas
	}
	for _, s := range f.segments {
		if s.Type == elf.PT_NOTE {
			areas = append(areas, noteArea{f.place(s), s.Filesz, s.Align})
		}
	}
	return areas
}

// findBuildID returns the first build-id of a run of notes. The descriptor and
// the next note are aligned to 8 bytes where the segment says so, else to 4.
func findBuildID(b []byte, align uint64) (BuildID, error) {
	if align != 8 {
		align = 4
	}
	up := func(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }
	for pos, size := uint64(0), uint64(len(b)); pos+12 <= size; {
		namesz, descsz := uint64(le.Uint32(b[pos:])), uint64(le.Uint32(b[pos+4:]))
		kind := le.Uint32(b[pos+8:])
		desc := pos + up(12+namesz)
		if desc > size || descsz > size-desc {
			return "", fmt.Errorf("%w: note at %#x: %d and %d bytes, %d are left", ErrFormat, pos, namesz, descsz, size-pos)
		}
		if kind == ntGNUBuildID && namesz == 4 && string(b[pos+12:pos+16]) == "GNU\x00" {
			if descsz == 0 || descsz > maxBuildID {
				return "", fmt.Errorf("%w: build-id of %d bytes", ErrFormat, descsz)
			}
			return BuildID(hex.EncodeToString(b[desc : desc+descsz])), nil
		}
		pos = desc + up(descsz)
	}
	return "", nil
}
