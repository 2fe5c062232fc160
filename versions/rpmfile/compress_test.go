package rpmfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

func compressWith(t testing.TB, w io.WriteCloser, err error, out *bytes.Buffer, data []byte) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func compressed(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch name {
	case "gzip":
		return gzipped(data)
	case "xz":
		w, err := xz.NewWriter(&out)
		return compressWith(t, w, err, &out, data)
	case "lzma":
		w, err := lzma.NewWriter(&out)
		return compressWith(t, w, err, &out, data)
	case "zstd":
		w, err := zstd.NewWriter(&out)
		return compressWith(t, w, err, &out, data)
	}
	return data
}

var compressors = []string{"gzip", "xz", "lzma", "zstd", "none"}

// A payload that ends early is an error wherever it ends, for every compressor.
func TestTruncatedPayload(t *testing.T) {
	members := []member{{name: "./lib64/libx.so", mode: 0o100755, data: string(bytes.Repeat([]byte("library "), 500))}}
	for _, name := range compressors {
		t.Run(name, func(t *testing.T) {
			good := spec{members: members, compressor: name, noDigest: true,
				compress: func(b []byte) []byte { return compressed(t, name, b) }}.build(t)
			start := int(open(t, good).payloadOffset)
			for n := start; n < len(good); n += 1 + (len(good)-start)/200 {
				p := open(t, good[:n])
				pl, err := p.Payload()
				for err == nil {
					if _, err = pl.Next(); err == nil {
						_, err = io.Copy(io.Discard, pl)
					}
				}
				// What is cut off behind the trailer is not missed.
				if err != io.EOF && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrFormat) {
					t.Fatalf("cut at %#x: %v", n, err)
				}
				if err == io.EOF && n < start+(len(good)-start)/2 {
					t.Fatalf("cut at %#x of %#x and accepted", n, len(good))
				}
			}
		})
	}
}

// A few bytes can ask the decompressor for gigabytes.
func TestDecompressBoundsMemory(t *testing.T) {
	bigXZ := compressed(t, "xz", []byte("data"))
	block := bigXZ[12 : 12+(int(bigXZ[12])+1)*4]
	i := bytes.Index(block, []byte{0x21, 1}) // the LZMA2 filter and its one byte of properties
	if i < 0 {
		t.Fatal("no LZMA2 filter")
	}
	block[i+2] = 40 // a dictionary of 4 GiB - 1
	binary.LittleEndian.PutUint32(block[len(block)-4:], crc32.ChecksumIEEE(block[:len(block)-4]))
	bigLZMA := compressed(t, "lzma", []byte("data"))
	binary.LittleEndian.PutUint32(bigLZMA[1:], 1<<31)
	// A frame with a window of 2^(10+20) bytes and one empty block.
	bigZstd := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 1, 0, 0}
	for name, data := range map[string][]byte{"xz": bigXZ, "lzma": bigLZMA, "zstd": bigZstd} {
		r, err := Decompress(name, bytes.NewReader(data))
		if err == nil {
			_, err = io.ReadAll(r)
			r.Close()
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func TestDecompressTellsTheFormat(t *testing.T) {
	for _, name := range []string{"gzip", "xz", "zstd", "none"} {
		r, err := Decompress("", bytes.NewReader(compressed(t, name, []byte("070701 data"))))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "070701 data" || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		r.Close()
	}
	if _, err := Decompress("rot13", bytes.NewReader(nil)); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown compressor: %v", err)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, name := range compressors {
		f.Add(name, compressed(f, name, []byte("some data")))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		r, err := Decompress(name, bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	})
}
