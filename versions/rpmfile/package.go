package rpmfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// Tags of the main header (rpmTag).
const (
	tagName              = 1000
	tagVersion           = 1001
	tagRelease           = 1002
	tagEpoch             = 1003
	tagBuildTime         = 1006
	tagArch              = 1022
	tagPayloadFormat     = 1124
	tagPayloadCompressor = 1125
	tagSourcePackage     = 1106
	tagPayloadDigest     = 5092
	tagPayloadDigestAlgo = 5093
)

// A Package is an RPM file whose headers have been read. Nothing in it can be
// trusted before Verify. Methods may be called concurrently if the reader's
// ReadAt may.
type Package struct {
	name          string
	r             io.ReaderAt
	size          int64
	closer        io.Closer
	source        bool
	sig, hdr      *header
	payloadOffset int64
	nevra         NEVRA
	buildTime     time.Time
}

// Open reads the headers of the package file name. The caller must Close it.
func Open(name string) (*Package, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	p, err := New(name, f, info.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	p.closer = f
	return p, nil
}

// New reads the headers of a package of size bytes from r; name is for errors.
// The error wraps ErrTruncated or ErrFormat.
func New(name string, r io.ReaderAt, size int64) (*Package, error) {
	p := &Package{name: name, r: r, size: size}
	if err := p.readHeaders(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.readIdentity(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Close closes the file that Open opened.
func (p *Package) Close() error {
	if p.closer == nil {
		return nil
	}
	return p.closer.Close()
}

func (p *Package) readHeaders() error {
	var lead [leadSize]byte
	if err := readFull(p.r, lead[:], 0, p.size); err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	if err := checkLead(lead[:]); err != nil {
		return err
	}
	var err error
	if p.sig, err = readHeader(p.r, leadSize, p.size, regionSignatures); err != nil {
		return fmt.Errorf("signature %w", err)
	}
	off := leadSize + (int64(len(p.sig.raw))+7)&^7
	if p.hdr, err = readHeader(p.r, off, p.size, regionImmutable); err != nil {
		return err
	}
	p.payloadOffset = off + int64(len(p.hdr.raw))
	p.source = p.hdr.has(tagSourcePackage) // the lead says so too, but nobody signs that
	return nil
}

// checkLead checks what rpm checks of a lead: magic, major version 3 or 4, and
// the type of signature, 5 for a header. Nothing else in it means anything.
func checkLead(lead []byte) error {
	const headerSignature = 5
	switch {
	case !bytes.Equal(lead[:4], []byte{0xed, 0xab, 0xee, 0xdb}):
		return fmt.Errorf("%w: no RPM lead", ErrFormat)
	case lead[4] < 3 || lead[4] > 4:
		return fmt.Errorf("%w: lead of version %d", ErrFormat, lead[4])
	case binary.BigEndian.Uint16(lead[78:]) != headerSignature:
		return fmt.Errorf("%w: lead with signature type %d", ErrFormat, binary.BigEndian.Uint16(lead[78:]))
	}
	return nil
}

func (p *Package) readIdentity() error {
	n := &p.nevra
	for _, f := range []struct {
		to  *string
		tag uint32
	}{{&n.Name, tagName}, {&n.Version, tagVersion}, {&n.Release, tagRelease}, {&n.Arch, tagArch}} {
		v, err := p.hdr.str(f.tag)
		if err != nil {
			return err
		}
		*f.to = v
	}
	epoch, err := p.hdr.number(tagEpoch)
	if err != nil {
		return err
	}
	built, err := p.hdr.number(tagBuildTime)
	if err != nil {
		return err
	}
	if epoch > math.MaxUint32 || built > math.MaxUint32 {
		return fmt.Errorf("%w: epoch %d, build time %d", ErrFormat, epoch, built)
	}
	n.Epoch = uint32(epoch)
	p.buildTime = time.Unix(int64(built), 0).UTC()
	return n.Validate()
}

// NEVRA identifies the package.
func (p *Package) NEVRA() NEVRA { return p.nevra }

// BuildTime is RPMTAG_BUILDTIME in UTC, 1970-01-01 if it is absent.
func (p *Package) BuildTime() time.Time { return p.buildTime }

// Source says that it is a source package.
func (p *Package) Source() bool { return p.source }

// headerReader reads what header signatures sign.
func (p *Package) headerReader() io.Reader { return bytes.NewReader(p.hdr.raw) }

// payloadReader reads the compressed payload.
func (p *Package) payloadReader() io.Reader {
	return io.NewSectionReader(p.r, p.payloadOffset, p.size-p.payloadOffset)
}
