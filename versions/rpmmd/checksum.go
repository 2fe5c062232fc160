package rpmmd

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
)

// A Checksum is a digest as metadata gives it.
type Checksum struct {
	// Type is sha256, sha384 or sha512; weaker ones are refused.
	Type string
	// Value is the digest in lower-case hexadecimal.
	Value string
}

// String gives TYPE:VALUE.
func (c Checksum) String() string { return c.Type + ":" + c.Value }

func (c Checksum) newHash() (hash.Hash, error) {
	switch c.Type {
	case "sha256":
		return sha256.New(), nil
	case "sha384":
		return sha512.New384(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("%w: checksum type %.20q is unknown or too weak", ErrFormat, c.Type)
}

// valid says why c is not a digest that can be checked.
func (c Checksum) valid() error {
	h, err := c.newHash()
	if err != nil {
		return err
	}
	if b, err := hex.DecodeString(c.Value); err != nil || len(b) != h.Size() || c.Value != strings.ToLower(c.Value) {
		return fmt.Errorf("%w: %s checksum %.200q", ErrFormat, c.Type, c.Value)
	}
	return nil
}

// matches compares a finished hash.
func (c Checksum) matches(h hash.Hash) error {
	if have := hex.EncodeToString(h.Sum(nil)); have != c.Value {
		return fmt.Errorf("%w: %s is %s, not %s", ErrChecksum, c.Type, have, c.Value)
	}
	return nil
}

// CheckFile compares the file name with its size in bytes and digest. The
// error wraps ErrTruncated if it is shorter, ErrChecksum if it differs.
func CheckFile(name string, size int64, sum Checksum) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := checkReader(f, size, sum); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func checkReader(r io.Reader, size int64, sum Checksum) error {
	h, err := sum.newHash()
	if err != nil {
		return err
	}
	n, err := io.Copy(h, io.LimitReader(r, size+1))
	switch {
	case err != nil:
		return err
	case n < size:
		return fmt.Errorf("%w: %d bytes of %d", ErrTruncated, n, size)
	case n > size:
		return fmt.Errorf("%w: more than %d bytes", ErrChecksum, size)
	}
	return sum.matches(h)
}
