package rpmfile

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
	"github.com/xi2/xz"
)

// maxWindow bounds the memory that a compressed stream may ask of its reader:
// xz -9 takes 64 MiB, zstd --ultra -22 takes 128 MiB.
const maxWindow = 128 << 20

// magics are the first bytes of the formats that have some.
var magics = []struct {
	name  string
	magic []byte
}{
	{"gzip", []byte{0x1f, 0x8b}},
	{"bzip2", []byte("BZh")},
	{"xz", []byte{0xfd, '7', 'z', 'X', 'Z', 0}},
	{"zstd", []byte{0x28, 0xb5, 0x2f, 0xfd}},
	{"none", []byte("0707")},
}

// Decompress returns the decompressed stream of r. The name is RPM's (tag
// PAYLOADCOMPRESSOR) or that of repository metadata: gzip, bzip2, xz, lzma,
// zstd, none; with "" it is told by the first bytes. Memory is bounded to the
// largest window that the compressors' own presets use.
func Decompress(name string, r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	if name == "" {
		name = sniff(br)
	}
	switch name {
	case "gzip":
		z, err := gzip.NewReader(br)
		return wrap(z, err)
	case "bzip2":
		return io.NopCloser(truncation{bzip2.NewReader(br)}), nil
	case "xz":
		z, err := xz.NewReader(br, maxWindow)
		return wrap(z, err)
	case "lzma":
		return openLZMA(br)
	case "zstd":
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return zstdCloser{truncation{z}, z}, nil
	case "none", "uncompressed", "identity":
		return io.NopCloser(br), nil
	}
	return nil, fmt.Errorf("%w: unknown compressor %.20q", ErrFormat, name)
}

func sniff(br *bufio.Reader) string {
	head, _ := br.Peek(6)
	for _, m := range magics {
		if bytes.HasPrefix(head, m.magic) {
			return m.name
		}
	}
	return "none"
}

func wrap(r io.Reader, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, cut(err)
	}
	return io.NopCloser(truncation{r}), nil
}

// openLZMA opens the .lzma format: one byte of properties, then the dictionary
// size as 4 bytes little-endian, which the decoder would allocate unseen.
func openLZMA(br *bufio.Reader) (io.ReadCloser, error) {
	head, err := br.Peek(13)
	if err != nil {
		return nil, cut(err)
	}
	if size := binary.LittleEndian.Uint32(head[1:]); size > maxWindow {
		return nil, fmt.Errorf("lzma: %w: dictionary of %d bytes", ErrFormat, size)
	}
	z, err := lzma.NewReader(br)
	return wrap(z, err)
}

type zstdCloser struct {
	truncation
	z *zstd.Decoder
}

func (c zstdCloser) Close() error { c.z.Close(); return nil }

// truncation makes ErrTruncated of an early end, ErrFormat of other damage.
type truncation struct{ r io.Reader }

func (t truncation) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		err = cut(err)
	}
	return n, err
}

func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, xz.ErrBuf) {
		return fmt.Errorf("%w compressed data: %w", ErrTruncated, err)
	}
	return fmt.Errorf("%w: compressed data: %w", ErrFormat, err)
}
