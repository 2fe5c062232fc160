package livepatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// The sections of a container.
const (
	sectionApply    = ".ulp"
	sectionRevert   = ".ulp.rev"
	sectionComments = ".ulp.comments"
	sectionInfo     = ".lpbuild"
)

// OpenContainer reads a container file. The file must be a regular one, of at
// most MaxContainer bytes; errors are as for ReadContainer.
func OpenContainer(path string) (*Container, error) {
	// Before opening, because opening a FIFO would wait for a writer.
	if err := checkRegular(os.Stat(path)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadContainerFile(f)
}

// ReadContainerFile reads a container from a file that is open already, which
// remains the caller's; see OpenContainer.
func ReadContainerFile(f *os.File) (*Container, error) {
	if err := checkRegular(f.Stat()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxContainer+1))
	if err != nil {
		return nil, err
	}
	return ReadContainer(f.Name(), data)
}

func checkRegular(fi os.FileInfo, err error) error {
	var pathErr *os.PathError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err // the caller names the file
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return fmt.Errorf("not a regular file: %w", ErrNoMetadata)
	case fi.Size() > MaxContainer:
		return fmt.Errorf("larger than %d bytes: %w", MaxContainer, ErrCorrupt)
	}
	return nil
}

// ReadContainer decodes a container and checks that its sections agree. name
// is for messages; the result keeps data. Errors wrap ErrNoMetadata,
// ErrUnsupported, ErrNewerFormat or ErrCorrupt.
func ReadContainer(name string, data []byte) (*Container, error) {
	c := &Container{Name: name, Data: data}
	if err := c.decode(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := c.agree(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, err, ErrCorrupt)
	}
	sum := sha256.Sum256(data)
	c.ID = hex.EncodeToString(sum[:])
	return c, nil
}

func (c *Container) decode() error {
	img, err := parseImage(c.Data)
	if err != nil {
		return err
	}
	if c.Apply, err = img.metadata(sectionApply, typeApply); err != nil {
		return err
	}
	if c.Apply == nil {
		return ErrNoMetadata
	}
	if c.Revert, err = img.metadata(sectionRevert, typeRevert); err != nil {
		return err
	}
	comments, err := img.named(sectionComments)
	if err != nil {
		return err
	}
	// libpulp joins several comment lines with the NUL of each and reads the first.
	comments, _, _ = bytes.Cut(comments, []byte{0})
	c.Comments = string(comments)
	info, err := img.named(sectionInfo)
	if err != nil || info == nil {
		return err
	}
	if c.Info, err = DecodeInfo(info); err != nil {
		return fmt.Errorf("%s: %w", sectionInfo, err)
	}
	return nil
}

// named returns the bytes of a section, nil if there is none. It must not be
// loaded: the loader of a patched process would see it.
func (f *image) named(name string) ([]byte, error) {
	i, err := f.section(name)
	if err != nil || i < 0 {
		return nil, err
	}
	if s := f.sections[i]; isLoaded(s) || !hasBytes(s) {
		return nil, fmt.Errorf("%s: type %#x, flags %#x: %w", name, s.Type, s.Flags, ErrCorrupt)
	}
	return f.bytes(i), nil
}

func (f *image) metadata(name string, kind byte) (*Metadata, error) {
	b, err := f.named(name)
	if err != nil || b == nil {
		return nil, err
	}
	m, err := DecodeMetadata(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if m.Type != kind {
		return nil, fmt.Errorf("%s: type %d: %w", name, m.Type, ErrCorrupt)
	}
	return m, nil
}

// agree checks the sections against each other.
func (c *Container) agree() error {
	if r := c.Revert; r != nil {
		switch {
		case r.PatchID != c.Apply.PatchID:
			return errors.New(".ulp.rev is of another patch than .ulp")
		case r.Target != c.Apply.Target || !bytes.Equal(r.BuildID, c.Apply.BuildID):
			return errors.New(".ulp.rev is for another target than .ulp")
		}
	}
	if c.Info == nil {
		return nil
	}
	id, err := hex.DecodeString(c.Info.BuildID)
	if err != nil {
		return err
	}
	if !bytes.Equal(metadataBuildID(id), c.Apply.BuildID) {
		return errors.New(".lpbuild is for another build-id than .ulp")
	}
	if len(c.Info.Functions) != len(c.Apply.Units) {
		return fmt.Errorf(".lpbuild has %d functions, .ulp %d", len(c.Info.Functions), len(c.Apply.Units))
	}
	for i, f := range c.Info.Functions {
		if !f.matches(c.Apply.Units[i]) {
			return fmt.Errorf("function %d is %s in .lpbuild, %s in .ulp", i, f.Old, c.Apply.Units[i].Old)
		}
	}
	return nil
}

// BuildID returns the target's whole GNU build-id in lower-case hexadecimal.
// Without .lpbuild it is the 20 bytes of .ulp.
func (c *Container) BuildID() string {
	if c.Info != nil {
		return c.Info.BuildID
	}
	return hex.EncodeToString(c.Apply.BuildID)
}

// metadataBuildIDSize is the length of the build-id in .ulp: libpulp knows
// only that of SHA-1.
const metadataBuildIDSize = 20

// metadataBuildID cuts a build-id to that length, or fills it with zeros.
func metadataBuildID(id []byte) []byte {
	b := make([]byte, metadataBuildIDSize)
	copy(b, id)
	return b
}
