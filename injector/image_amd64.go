package injector

import (
	"debug/elf"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// checkRelocationType refuses relocations of a container that need code run,
// storage of its own, or that shared libraries do not have (psABI table 4.10).
func checkRelocationType(t elf.R_X86_64) error {
	switch t {
	case elf.R_X86_64_NONE, elf.R_X86_64_RELATIVE, elf.R_X86_64_64, elf.R_X86_64_GLOB_DAT, elf.R_X86_64_JMP_SLOT,
		elf.R_X86_64_TPOFF64, elf.R_X86_64_DTPMOD64, elf.R_X86_64_DTPOFF64:
		return nil
	case elf.R_X86_64_COPY:
		return blockedf("has a copy relocation, as only programs may")
	case elf.R_X86_64_IRELATIVE:
		return blockedf("has an IFUNC of its own")
	case elf.R_X86_64_TLSDESC:
		return blockedf("uses TLS descriptors, which only ld.so can fill in")
	}
	return blockedf("has a relocation of type %v", t)
}

// callRelocation says whether a relocation is satisfied only where a symbol is
// defined (elf_machine_type_class in glibc's sysdeps/x86_64/dl-machine.h).
func callRelocation(t elf.R_X86_64) bool {
	switch t {
	case elf.R_X86_64_JMP_SLOT, elf.R_X86_64_TPOFF64, elf.R_X86_64_DTPMOD64, elf.R_X86_64_DTPOFF64:
		return true
	}
	return false
}

// relocate works out what one relocation writes (psABI, "Relocation Types").
func (im *image) relocate(sc *scope, r elfinfo.Relocation) error {
	switch r.Type {
	case elf.R_X86_64_NONE:
		return nil
	case elf.R_X86_64_RELATIVE:
		im.add(r.Offset, uint64(r.Addend), true)
		return nil
	case elf.R_X86_64_64, elf.R_X86_64_GLOB_DAT, elf.R_X86_64_JMP_SLOT:
		return im.relocateSymbol(sc, r)
	}
	d, err := im.bindTLS(sc, r)
	if err != nil {
		return err
	}
	offset := d.sym.Address + uint64(r.Addend)
	switch r.Type {
	case elf.R_X86_64_TPOFF64:
		below, err := sc.staticTLS(d.owner)
		if err != nil {
			return err
		}
		im.add(r.Offset, offset-below, false)
	case elf.R_X86_64_DTPMOD64:
		module, err := sc.tlsModule(d.owner)
		if err != nil {
			return err
		}
		im.add(r.Offset, module, false)
	case elf.R_X86_64_DTPOFF64:
		im.add(r.Offset, offset, false)
	default:
		return checkRelocationType(r.Type)
	}
	return nil
}
