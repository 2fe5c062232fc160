package builder

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// checkObject finds what a compiled source asks for that no process gets for a
// live patch.
func checkObject(f *elf.File, symbols []elf.Symbol) []Finding {
	var list []Finding
	text := map[string]bool{}
	for _, s := range f.Sections {
		switch {
		case s.Type == elf.SHT_RELA:
			if name := textRelocation(f, s); name != "" && !text[name] {
				text[name] = true
				list = append(list, found(checkText, fmt.Sprintf("section %s is read-only and holds an absolute address", name))...)
			}
		case s.Flags&elf.SHF_TLS != 0 && s.Size > 0:
			list = append(list, found(checkTLS, "thread-local variables: "+variables(f, symbols, s))...)
		case s.Name == ".note.GNU-stack" && s.Flags&elf.SHF_EXECINSTR != 0:
			list = append(list, found(checkStack, "the code asks for an executable stack")...)
		case s.Size > 0 && isStartSection(s):
			list = append(list, found(checkStart, fmt.Sprintf("section %s: a constructor or destructor, which processes may refuse", s.Name))...)
		}
	}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_GNU_IFUNC && s.Section != elf.SHN_UNDEF {
			list = append(list, found(checkIFUNC, fmt.Sprintf("%s is an indirect function", s.Name))...)
		}
	}
	return list
}

// textRelocation is the name of the section that the relocations of r change,
// if it is in memory and not writable and one of them stores an absolute address.
func textRelocation(f *elf.File, r *elf.Section) string {
	if int(r.Info) >= len(f.Sections) {
		return ""
	}
	target := f.Sections[r.Info]
	if target.Flags&elf.SHF_ALLOC == 0 || target.Flags&elf.SHF_WRITE != 0 {
		return ""
	}
	data, err := r.Data()
	if err != nil {
		return target.Name // the link editor will say more
	}
	relocations := make([]elf.Rela64, len(data)/24) // sizeof(Elf64_Rela)
	if err := binary.Read(bytes.NewReader(data), f.ByteOrder, relocations); err != nil {
		return target.Name
	}
	absolute := []elf.R_X86_64{elf.R_X86_64_64, elf.R_X86_64_32, elf.R_X86_64_32S, elf.R_X86_64_16, elf.R_X86_64_8}
	for _, rel := range relocations {
		if slices.Contains(absolute, elf.R_X86_64(elf.R_TYPE64(rel.Info))) {
			return target.Name
		}
	}
	return ""
}

// variables names those of a section.
func variables(f *elf.File, symbols []elf.Symbol, s *elf.Section) string {
	var names []string
	for _, v := range symbols {
		if int(v.Section) < len(f.Sections) && f.Sections[v.Section] == s && elf.ST_TYPE(v.Info) == elf.STT_TLS {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return "section " + s.Name
	}
	return strings.Join(names, ", ")
}

// isStartSection reports whether the section holds what a loader calls before
// or after everything else (gABI, "Initialization and Termination Functions").
func isStartSection(s *elf.Section) bool {
	if slices.Contains([]elf.SectionType{elf.SHT_INIT_ARRAY, elf.SHT_FINI_ARRAY, elf.SHT_PREINIT_ARRAY}, s.Type) {
		return true
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "."), ".")
	return s.Flags&elf.SHF_ALLOC != 0 && slices.Contains([]string{"init", "fini", "ctors", "dtors"}, name)
}
