package rpmfile

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// FuzzPackage reads packages to their end: whatever they hold, no panic, no
// file larger than its header says, and an error for what cannot be verified.
func FuzzPackage(f *testing.F) {
	seeds := []spec{
		{members: someFiles},
		{members: someFiles, compressor: "gzip", compress: gzipped},
		{members: []member{{name: "./f", mode: 0o100644, data: "abc", strip: true}, {name: "./l", mode: 0o120777, data: "f", strip: true}}},
		{members: []member{{name: "./a", mode: 0o100644, size: 4, ino: 9, nlink: 2}, {name: "./b", mode: 0o100644, data: "data", ino: 9, nlink: 2}}},
	}
	for _, s := range seeds {
		f.Add(s.build(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := New("fuzz.rpm", bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if _, err := p.Verify(new(keyring.Keyring)); err == nil {
			t.Error("verified without a key")
		}
		pl, err := p.Payload()
		if err != nil {
			return
		}
		defer pl.Close()
		for {
			e, err := pl.Next()
			if err != nil {
				return
			}
			n, err := io.Copy(io.Discard, pl)
			if n > e.Size {
				t.Errorf("%s: %d bytes of %d", e.Path, n, e.Size)
			}
			if err != nil {
				return
			}
		}
	})
}
