package rpmmd

import (
	"fmt"
	"io"
	"os"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// readPrimary decompresses, parses and verifies the file in one pass. What was
// parsed is returned only if all digests are right.
func readPrimary(file string, d Data, want func(name, arch string) bool) ([]Package, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	packed, err := d.Checksum.newHash()
	if err != nil {
		return nil, err
	}
	limit, err := openLimit(f, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Href, err)
	}
	src := io.TeeReader(f, packed)
	packages, perr := parseOpen(src, d, limit, want)
	if _, err := io.Copy(io.Discard, src); err != nil {
		return nil, err
	}
	// A wrong digest is the cause of whatever else went wrong: it comes first.
	if err := d.Checksum.matches(packed); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Href, err)
	}
	if perr != nil {
		return nil, fmt.Errorf("%s: %w", d.Href, perr)
	}
	return packages, nil
}

const (
	// maxRatio is how many times larger than packed metadata may be once open;
	// it is 60 where a million packages resemble each other. maxPlainOpen bytes
	// may be open in any case.
	maxRatio     = 250
	maxPlainOpen = 32 << 20
)

// openLimit is how large the file may be once open: what repomd.xml says, and
// no more than metadata can be.
func openLimit(f *os.File, d Data) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	limit := min(maxOpen, max(maxPlainOpen, maxRatio*min(info.Size(), maxMetadata)))
	if d.OpenSize > limit {
		return 0, fmt.Errorf("%w: %d bytes are said to open to %d", ErrFormat, info.Size(), d.OpenSize)
	}
	if d.OpenSize >= 0 {
		limit = d.OpenSize
	}
	return limit, nil
}

// parseOpen parses the decompressed content, of at most limit bytes, and
// compares what repomd.xml says of its size and digest.
func parseOpen(src io.Reader, d Data, limit int64, want func(name, arch string) bool) ([]Package, error) {
	z, err := rpmfile.Decompress("", src)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	open := &bounded{r: z, left: limit}
	if d.OpenChecksum == (Checksum{}) {
		packages, err := ParsePrimary(open, want)
		if err != nil {
			return nil, err
		}
		return packages, open.finish(d.OpenSize >= 0)
	}
	sum, err := d.OpenChecksum.newHash()
	if err != nil {
		return nil, err
	}
	packages, perr := ParsePrimary(io.TeeReader(open, sum), want)
	if _, err := io.Copy(sum, open); err != nil {
		return nil, err
	}
	if err := open.finish(d.OpenSize >= 0); err != nil {
		return nil, err
	}
	if err := d.OpenChecksum.matches(sum); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return packages, perr
}

// bounded ends in an error where there is more than was announced: a few
// kilobytes of compressed metadata can hold terabytes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	// One byte more than allowed is asked for, to tell the end from too much.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return 0, fmt.Errorf("%w: larger than announced once open", ErrChecksum)
	}
	b.left -= int64(n)
	return n, err
}

// finish reads to the end and, if the size is exact, wants to have reached it.
func (b *bounded) finish(exact bool) error {
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	if exact && b.left != 0 {
		return fmt.Errorf("%w: %d bytes less than announced once open", ErrTruncated, b.left)
	}
	return nil
}
