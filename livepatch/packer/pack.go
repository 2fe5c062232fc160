package packer

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// Paths stand in place of those that a description names; "" leaves them.
type Paths struct{ Container, Target string }

// Pack embeds the metadata that a description (.dsc) stands for into the
// container that it names, in place, and returns the container's path. Paths in
// the description are relative to the current folder. The target may be the
// library itself or a symbol list (see Extract); only from a library come the
// original's bytes that .lpbuild proves a process by, so with a symbol list the
// container has libpulp's sections alone.
//
// What concerns a place of the description is a *livepatch.SyntaxError or a
// *PlaceError.
func Pack(file string, instead Paths) (string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	d, err := livepatch.ParseDescription(file, src)
	if err != nil {
		return "", err
	}
	if instead.Container != "" {
		d.Container = instead.Container
	}
	if instead.Target != "" {
		d.Target = instead.Target
	}
	return d.Container, pack(d)
}

func pack(d *livepatch.Description) error {
	list, err := readSymbolList(d.Target)
	if err != nil {
		return at(d, d.TargetPos, err)
	}
	in := livepatch.PackInput{Description: d}
	if list != nil {
		d.Target = list.Library.Name
		err = resolveListed(&in, list)
	} else {
		err = resolveLibrary(&in)
	}
	if err != nil {
		return err
	}
	if in.Depends, err = readDepends(d.Depends); err != nil {
		return err
	}
	linked, err := os.ReadFile(d.Container)
	if err != nil {
		return at(d, d.ContainerPos, err)
	}
	packed, err := livepatch.Pack(linked, in)
	if err != nil {
		return err
	}
	return replaceFile(d.Container, packed)
}

func readDepends(files []string) ([][32]byte, error) {
	var ids [][32]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		id, err := livepatch.ReadPatchID(file, data)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// resolveLibrary takes the target's facts from the library.
func resolveLibrary(in *livepatch.PackInput) error {
	d := in.Description
	lib, err := elfinfo.Open(d.Target)
	if err != nil {
		return err
	}
	defer lib.Close()
	build, err := elfinfo.NewBuild(lib, nil, d.Names())
	if err != nil {
		return err
	}
	if in.BuildID, err = hex.DecodeString(string(build.BuildID)); err != nil || len(in.BuildID) == 0 {
		return fmt.Errorf("%s: build-id %q: %w", d.Target, build.BuildID, elfinfo.ErrBuildID)
	}
	// Libpulp loads what its packer has made with dlopen, which calls constructors.
	in.Info = &livepatch.Info{Library: d.Target, Soname: build.Soname, Toolchain: "unknown", Constructors: true}
	if abs, err := filepath.Abs(d.Target); err == nil {
		in.Info.Library = abs
	}
	for _, u := range d.Units {
		f, err := build.Function(u.Name())
		if err == nil && f.Entry.Kind == elfinfo.EntryNone {
			err = fmt.Errorf("%s: %s: %w", u.Name(), f.Entry.Reason, elfinfo.ErrNotLivepatchable)
		}
		if err != nil {
			return at(d, u.Pos, err)
		}
		in.Addresses = append(in.Addresses, f.Address)
		in.Info.Functions = append(in.Info.Functions, livepatch.Function{
			Old: u.Name(), New: u.New, Address: f.Address, Size: f.Size, SHA256: f.SHA256,
			Entry: string(f.Entry.Kind), Offset: f.Entry.Offset, Length: f.Entry.Length,
			Personality: f.Unwind.Personality, CallsBack: f.Unwind.CallsBack, Cancellation: f.Unwind.Cancellation,
		})
	}
	return resolveReferences(in, func(r livepatch.Reference) (uint64, error) { return symbolOffset(build, r.Name()) })
}

// resolveReferences finds the offsets that the description does not give.
func resolveReferences(in *livepatch.PackInput, find func(livepatch.Reference) (uint64, error)) error {
	for _, r := range in.Description.References {
		offset := r.TargetOffset
		if !r.Explicit || offset == 0 {
			var err error
			if offset, err = find(r); err != nil {
				return at(in.Description, r.Pos, err)
			}
		}
		in.TargetOffsets = append(in.TargetOffsets, offset)
	}
	return nil
}

// symbolOffset is st_value of a variable or function of the build.
func symbolOffset(build *elfinfo.Build, name string) (uint64, error) {
	if v, err := build.Variable(name); err == nil {
		return v.Address, nil
	}
	f, err := build.Function(name)
	if err != nil {
		return 0, err
	}
	return f.Address, nil
}

// resolveListed takes the target's facts from a symbol list.
func resolveListed(in *livepatch.PackInput, list *SymbolList) (err error) {
	d := in.Description
	if in.BuildID, err = hex.DecodeString(string(list.Library.BuildID)); err != nil || len(in.BuildID) == 0 {
		return fmt.Errorf("%s: build-id %q: %w", d.Target, list.Library.BuildID, elfinfo.ErrBuildID)
	}
	for _, u := range d.Units {
		address, err := list.find(u.Old)
		if err != nil {
			return at(d, u.Pos, err)
		}
		in.Addresses = append(in.Addresses, address)
	}
	return resolveReferences(in, func(r livepatch.Reference) (uint64, error) { return list.find(r.Target) })
}

// A PlaceError is what is wrong with what one place of a description names.
type PlaceError struct {
	// Place is that place; its Msg is Err's text.
	Place *livepatch.SyntaxError
	Err   error
}

// Error is "file:line:col: reason".
func (e *PlaceError) Error() string { return e.Place.Error() }

// Unwrap returns Err.
func (e *PlaceError) Unwrap() error { return e.Err }

func at(d *livepatch.Description, pos livepatch.Pos, err error) error {
	return &PlaceError{d.ErrorAt(pos, err.Error()), err}
}
