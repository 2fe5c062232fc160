package livepatch

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/md4" //nolint:staticcheck // libpulp's format prescribes MD4.
)

// PackInput is what Pack needs besides the linked file. All slices are in the
// order of the description.
type PackInput struct {
	// Description names the container, the target and what is replaced. Its
	// canonical text is what the patch id is made of.
	Description *Description
	// BuildID is the target's GNU build-id, of any length.
	BuildID []byte
	// Addresses is st_value of each unit's Old in the target library.
	Addresses []uint64
	// TargetOffsets is st_value of each reference's Target in the target library
	// (TLS: the offset into its TLS block). It is not read for a reference with
	// an explicit target offset other than 0.
	TargetOffsets []uint64
	// Depends are the patch ids of Description.Depends; see ReadPatchID.
	Depends [][32]byte
	// Info becomes .lpbuild; nil writes none. Its Functions correspond to the
	// description's units. Format, BuildID, Comments and References are filled
	// in by Pack.
	Info *Info
}

// Pack returns elfFile, a linked x86-64 shared object with a GNU build-id, as a
// live-patch container: with .ulp, .ulp.comments (if the description has a
// comment), .ulp.rev and .lpbuild, in this order. What an earlier Pack, or
// libpulp's packer, embedded is replaced.
//
// Every replacement must be a dynamic function symbol of elfFile, every
// reference variable a symbol of elfFile in writable memory; an error about
// one is a *SyntaxError that points into the description.
func Pack(elfFile []byte, in PackInput) ([]byte, error) {
	d := in.Description
	img, err := parseImage(elfFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Container, err)
	}
	p := &packer{PackInput: in, img: img}
	if err := p.check(); err != nil {
		return nil, err
	}
	sections, err := p.sections()
	if err != nil {
		return nil, err
	}
	// All are removed first, so that the result does not depend on what was there.
	clean, err := Embed(elfFile, []Section{
		{Name: sectionApply, Remove: true}, {Name: sectionComments, Remove: true},
		{Name: sectionRevert, Remove: true}, {Name: sectionInfo, Remove: true},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Container, err)
	}
	out, err := Embed(clean, sections)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Container, err)
	}
	// A container that our own reader refuses must never leave the build farm.
	if _, err := ReadContainer(d.Container, out); err != nil {
		return nil, err
	}
	return out, nil
}

// ReadPatchID returns the patch id of a dependency: of a container, or of a
// file that holds a bare .ulp section, which is what libpulp accepts.
func ReadPatchID(name string, data []byte) ([32]byte, error) {
	if strings.HasPrefix(string(data[:min(len(data), 4)]), elf.ELFMAG) {
		c, err := ReadContainer(name, data)
		if err != nil {
			return [32]byte{}, err
		}
		return c.Apply.PatchID, nil
	}
	m, err := DecodeMetadata(data)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%s: %w", name, err)
	}
	if m.Type != typeApply {
		return [32]byte{}, fmt.Errorf("%s: type %d: %w", name, m.Type, ErrCorrupt)
	}
	return m.PatchID, nil
}

type packer struct {
	PackInput
	img     *image
	symbols map[string][]symbol
}

// check checks the input, and the units against the container.
func (p *packer) check() error {
	d := p.Description
	// Not every description comes from ParseDescription.
	if _, err := ParseDescription(d.File, d.Bytes()); err != nil {
		return err
	}
	switch {
	case len(p.Addresses) != len(d.Units):
		return fmt.Errorf("%s: %d addresses for %d functions", d.File, len(p.Addresses), len(d.Units))
	case len(p.TargetOffsets) != len(d.References):
		return fmt.Errorf("%s: %d offsets for %d references", d.File, len(p.TargetOffsets), len(d.References))
	case len(p.Depends) != len(d.Depends):
		return fmt.Errorf("%s: %d patch ids for %d dependencies", d.File, len(p.Depends), len(d.Depends))
	case len(p.BuildID) == 0 || len(p.BuildID) > maxBuildID:
		return d.ErrorAt(d.TargetPos, fmt.Sprintf("target's build-id has %d bytes", len(p.BuildID)))
	}
	var err error
	if p.symbols, err = p.img.symbols(); err != nil {
		return fmt.Errorf("%s: %w", d.Container, err)
	}
	byAddress := make(map[uint64]Unit)
	for i, u := range d.Units {
		if first, ok := byAddress[p.Addresses[i]]; ok {
			return d.ErrorAt(u.Pos, fmt.Sprintf("%s is the same function as %s in line %d (address %#x)", u.Name(), first.Name(), first.Line, p.Addresses[i]))
		}
		byAddress[p.Addresses[i]] = u
		isFunction := func(s symbol) bool { return s.dynamic && s.kind == elf.STT_FUNC }
		if !slices.ContainsFunc(p.symbols[u.New], isFunction) {
			return d.ErrorAt(u.Pos, fmt.Sprintf("%s is not an exported function of %s", u.New, d.Container))
		}
	}
	return nil
}

// sections builds the sections to embed, in their order.
func (p *packer) sections() ([]Section, error) {
	apply, err := p.metadata()
	if err != nil {
		return nil, err
	}
	revert := &Metadata{Type: typeRevert, PatchID: apply.PatchID, BuildID: apply.BuildID, Target: apply.Target}
	applyBytes, err := apply.Encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Description.File, err)
	}
	revertBytes, err := revert.Encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Description.File, err)
	}
	sections := []Section{{Name: sectionApply, Data: applyBytes}}
	if comments := p.Description.Comments; len(comments) > 0 {
		// libpulp reads no further than the first NUL; .lpbuild holds the rest.
		sections = append(sections, Section{Name: sectionComments, Data: []byte(comments[0] + "\n\x00")})
	}
	sections = append(sections, Section{Name: sectionRevert, Data: revertBytes})
	if p.Info == nil {
		return sections, nil
	}
	info := *p.Info
	info.Format = InfoFormat
	info.BuildID = hex.EncodeToString(p.BuildID)
	info.Comments = p.Description.Comments
	info.References = ScanReferences(info.Comments)
	infoBytes, err := info.Encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", p.Description.File, sectionInfo, err)
	}
	return append(sections, Section{Name: sectionInfo, Data: infoBytes}), nil
}

// metadata builds .ulp. Dependencies and references are stored in reverse
// order, as libpulp's packer stores them.
func (p *packer) metadata() (*Metadata, error) {
	d := p.Description
	id, err := p.patchID()
	if err != nil {
		return nil, err
	}
	m := &Metadata{Type: typeApply, PatchID: id, BuildID: metadataBuildID(p.BuildID), Target: path.Base(d.Target), Depends: slices.Clone(p.Depends)}
	for i, u := range d.Units {
		m.Units = append(m.Units, MetadataUnit{Old: u.Old, New: u.New, Address: p.Addresses[i]})
	}
	for i, r := range d.References {
		ref := MetadataReference{Target: r.Target, Reference: r.Reference, TargetOffset: r.TargetOffset, TLS: r.TLS}
		if r.needsLookup() {
			ref.TargetOffset = p.TargetOffsets[i]
		}
		if ref.PatchOffset, err = p.patchOffset(r); err != nil {
			return nil, d.ErrorAt(r.Pos, err.Error())
		}
		m.References = append(m.References, ref)
	}
	slices.Reverse(m.Depends)
	slices.Reverse(m.References)
	return m, nil
}

// patchID returns the first 16 bytes of the container's build-id and the MD4 of
// the description.
func (p *packer) patchID() (id [32]byte, err error) {
	own := p.img.buildID()
	if own == nil {
		return id, fmt.Errorf("%s: no GNU build-id; link with -Wl,--build-id=sha1", p.Description.Container)
	}
	copy(id[:16], own)
	h := md4.New()
	h.Write(p.Description.Bytes())
	copy(id[16:], h.Sum(nil))
	return id, nil
}

// Sizes of a reference variable in bytes: a pointer, or a tls_index of two words.
const (
	pointerSize  = 8
	tlsIndexSize = 16
)

// patchOffset returns where the reference variable lies in the container.
func (p *packer) patchOffset(r Reference) (uint64, error) {
	size := uint64(pointerSize)
	if r.TLS {
		size = tlsIndexSize
	}
	offset := r.PatchOffset
	if !r.Explicit || offset == 0 {
		s, err := p.variable(r.Reference)
		if err != nil {
			return 0, err
		}
		if s.size != 0 && s.size < size {
			return 0, fmt.Errorf("%s has %d bytes, a reference needs %d", r.Reference, s.size, size)
		}
		offset = s.value
	}
	if !p.img.writable(offset, size) {
		return 0, fmt.Errorf("%s: offset %#x is not in writable memory of %s", r.Reference, offset, p.Description.Container)
	}
	return offset, nil
}

// variable returns the container's variable of that name. A dynamic symbol
// comes first; local ones of several source files are ambiguous.
func (p *packer) variable(name string) (symbol, error) {
	var found []symbol
	for _, s := range p.symbols[name] {
		if s.kind != elf.STT_OBJECT && s.kind != elf.STT_NOTYPE {
			continue
		}
		if s.dynamic {
			return s, nil
		}
		if !slices.ContainsFunc(found, func(f symbol) bool { return f.value == s.value }) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return symbol{}, fmt.Errorf("%s is not a variable of %s", name, p.Description.Container)
	case 1:
		return found[0], nil
	}
	return symbol{}, errors.New(name + " is ambiguous: several local variables have this name")
}

// matches says whether f and u are the same replacement.
func (f *Function) matches(u MetadataUnit) bool {
	name, _, _ := strings.Cut(f.Old, "@")
	return name == u.Old && f.New == u.New && f.Address == u.Address
}
