package rpmfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// refusals are what a refused package may be refused with. Anything else would
// be taken for a trouble of the machine.
var refusals = []error{ErrTruncated, ErrFormat, ErrChecksum, ErrUnsafePath,
	keyring.ErrUnsigned, keyring.ErrSignature, keyring.ErrUntrustedKey}

func refused(err error) bool {
	return slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) })
}

// content is all that a project takes from a verified package: who it is and
// what is in it.
func content(data []byte, ring *keyring.Keyring) (map[string]string, error) {
	p, err := New("x.rpm", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if _, err := p.Verify(ring); err != nil {
		return nil, err
	}
	out := map[string]string{"": fmt.Sprint(p.NEVRA(), p.BuildTime(), p.Source())}
	pl, err := p.Payload()
	if err != nil {
		return nil, err
	}
	defer pl.Close()
	for {
		e, err := pl.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(pl)
		if err != nil {
			return nil, err
		}
		out[e.Path] = fmt.Sprintf("%o %s %s", e.Mode, e.Link, b)
	}
}

// uncovered says, for every byte of a package, why nothing has to cover it, ""
// if something must. docs/verification.md has the same list.
func uncovered(t *testing.T, data []byte) []string {
	t.Helper()
	p := open(t, data)
	why := make([]string, len(data))
	mark := func(from, to int, reason string) {
		for i := from; i < to; i++ {
			why[i] = reason
		}
	}
	mark(4, leadSize, "lead")
	mark(leadSize+introSize-1, leadSize+introSize, "length of the signature header, to its padding")
	entries := int(binary.BigEndian.Uint32(p.sig.raw[8:]))
	store := leadSize + introSize + entries*entrySize
	end := leadSize + len(p.sig.raw)
	mark(store, end, "gap between values")
	mark(end, int(p.payloadOffset)-len(p.hdr.raw), "padding of the signature header")
	signatures := 0
	for _, tag := range []uint32{sigDSA, sigRSA, sigPGP, sigGPG} {
		if p.sig.has(tag) {
			signatures++
		}
	}
	for i := range entries {
		at := leadSize + introSize + i*entrySize
		tag, off := binary.BigEndian.Uint32(data[at:]), int(binary.BigEndian.Uint32(data[at+8:]))
		e, ok := p.sig.entries[tag]
		if !ok { // the region: its entry and trailer are checked
			mark(store+off, store+off+entrySize, "")
			continue
		}
		from, to := store+off, store+off+len(e.data)
		switch tag {
		case sigDSA, sigRSA, sigPGP, sigGPG:
			mark(from, to, "")
			markUnhashed(t, why[from:to], e.data)
			if signatures > 1 { // the others prove the same
				mark(at, at+entrySize, "entry of one signature of several")
			}
		case sigOpenPGP, sigSHA256, sigSize, sigLongSize:
			mark(from, to, "")
			mark(at, at+entrySize, "entry of a tag that proves nothing")
		default: // MD5, SHA-1, size of the open payload, reserved space
			mark(at, at+entrySize, "entry of a tag that is not used")
			mark(from, to, "value of a tag that is not used")
		}
	}
	return why
}

// markUnhashed marks what a version 4 signature does not protect of itself: its
// unhashed subpackets, and the bit lengths of its integers, of which only the
// length in bytes matters. The packet is tag, length, version, type, algorithms,
// hashed and unhashed subpackets, each with a length of two bytes, two bytes of
// the digest, integers.
func markUnhashed(t *testing.T, why []string, sig []byte) {
	t.Helper()
	body := map[byte]int{0x88: 2, 0x89: 3}[sig[0]]
	if body == 0 {
		t.Fatalf("signature packet begins with %x: not as gpg writes it", sig[0])
	}
	if sig[body] != 4 {
		return // all of version 3 is covered
	}
	at := body + 6 + int(binary.BigEndian.Uint16(sig[body+4:]))
	for end := at + 2 + int(binary.BigEndian.Uint16(sig[at:])); at < end; at++ {
		why[at] = "unhashed subpackets"
	}
	for at += 2; at < len(sig); at += 2 + (int(binary.BigEndian.Uint16(sig[at:]))+7)/8 {
		why[at+1] = "bit length of an integer"
	}
}

// tampered are the packages whose every byte is changed.
func tampered(t *testing.T) map[string]struct {
	data []byte
	ring *keyring.Keyring
} {
	type signed = struct {
		data []byte
		ring *keyring.Keyring
	}
	out := make(map[string]signed)
	built := rpmbuild(t, "1")
	for name, key := range map[string]string{"rpmsign RSA": "rsa2048", "rpmsign EdDSA": "ed25519"} {
		g := newGPG(t, "", key, "sign", "never")
		file := filepath.Join(t.TempDir(), "tiny.rpm")
		if err := os.WriteFile(file, readFile(t, built), 0o644); err != nil {
			t.Fatal(err)
		}
		g.rpmsign(file)
		ring, err := g.ring()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = signed{readFile(t, file), ring}
	}
	rsaKey, ring := newKey(t, "rsa", packet.PubKeyAlgoRSA)
	out["version 3, header and payload, no payload digest"] = signed{spec{members: someFiles, noDigest: true,
		sign: func(h, p []byte) map[uint32]tagValue {
			return map[uint32]tagValue{sigRSA: binaryTag(signV3(t, rsaKey, h)), sigPGP: binaryTag(signV3(t, rsaKey, h, p))}
		}}.build(t), ring}
	return out
}

// Every byte of a package, changed in several ways: it is refused, or nothing
// of what is taken from it has changed and the byte is one that needs no cover.
func TestEveryByte(t *testing.T) {
	for name, pkg := range tampered(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := content(pkg.data, pkg.ring)
			if err != nil {
				t.Fatal(err)
			}
			why := uncovered(t, pkg.data)
			accepted := make(map[string]int)
			refusedBytes := 0
			bad := bytes.Clone(pkg.data)
			for i := range bad {
				harmless := 0
				for _, mask := range []byte{1, 0xff} {
					bad[i] ^= mask
					got, err := content(bad, pkg.ring)
					switch {
					case err != nil && !refused(err):
						t.Fatalf("byte %#x ^ %#x: %v, which is no refusal", i, mask, err)
					case err == nil && !maps.Equal(got, want):
						t.Fatalf("byte %#x ^ %#x: accepted with other content: %v", i, mask, got)
					case err == nil && why[i] == "":
						t.Errorf("byte %#x ^ %#x: accepted, and must be covered", i, mask)
					case err == nil:
						harmless++
					}
					bad[i] = pkg.data[i]
				}
				if harmless > 0 {
					accepted[why[i]]++
				} else {
					refusedBytes++
				}
			}
			total := refusedBytes
			for _, n := range accepted {
				total += n
			}
			t.Logf("%d bytes: %d always refused, without effect: %v", len(bad), refusedBytes, accepted)
			if total != len(bad) || accepted["lead"] == 0 || accepted["lead"] > leadSize-7 {
				t.Errorf("%d bytes counted of %d, %d of the lead accepted", total, len(bad), accepted["lead"])
			}
		})
	}
}

// A package that ends anywhere else is refused, and so is one that goes on.
func TestEveryLength(t *testing.T) {
	for name, pkg := range tampered(t) {
		t.Run(name, func(t *testing.T) {
			for n := range pkg.data {
				if _, err := content(pkg.data[:n], pkg.ring); !errors.Is(err, ErrTruncated) {
					t.Fatalf("cut to %d of %d bytes: %v", n, len(pkg.data), err)
				}
			}
			for _, more := range []string{"\x00", "garbage", strings.Repeat("\x00", 4096), string(pkg.data)} {
				if _, err := content(append(bytes.Clone(pkg.data), more...), pkg.ring); !refused(err) {
					t.Errorf("%d bytes added: %v", len(more), err)
				}
			}
		})
	}
}
