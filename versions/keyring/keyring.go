// Package keyring verifies detached OpenPGP signatures of package archives
// against the public keys that a project trusts.
//
// It differs from a general OpenPGP verifier in three ways that archives need:
//
//   - Version 3 signature packets (RFC 4880 section 5.2.2) are accepted, for
//     RSA: rpm has written them for decades and long-lived distributions still
//     ship packages signed that way.
//   - A key must have been valid when the signature was made, not today: a
//     package outlives the key that signed it. A revoked key is never accepted.
//   - Digests weaker than SHA-256, RSA keys shorter than 2048 bits, DSA keys and
//     keys that may only encrypt are refused.
//
// Keys of version 4 and 6 count, and all that an archive signs with: RSA,
// ECDSA over the NIST curves, EdDSA as gpg writes it (algorithm 22) and as
// RFC 9580 does (Ed25519 27, Ed448 28), ML-DSA with EdDSA.
//
// A signature by an unknown key is never good; one good signature by a trusted
// key is enough, unless another one by a trusted key is bad.
package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var (
	// ErrSignature says that a signature is malformed, too weak, or not one of
	// the signed bytes.
	ErrSignature = errors.New("bad signature")
	// ErrUnsigned says that there is no signature at all. It is an
	// ErrSignature, too.
	ErrUnsigned error = unsignedError{}
	// ErrUntrustedKey says that a signature is by a key that is not in the
	// keyring, or one that is revoked, was expired or may not sign.
	ErrUntrustedKey = errors.New("signed by a key that is not trusted")
)

type unsignedError struct{}

func (unsignedError) Error() string        { return "not signed" }
func (unsignedError) Is(target error) bool { return target == ErrSignature }

// maxKeyFile bounds a key file in bytes; a distribution's key is a few KiB.
const maxKeyFile = 4 << 20

// A Keyring is a set of trusted public keys. The zero value trusts nobody.
// It is safe for concurrent use.
type Keyring struct {
	entities openpgp.EntityList
	files    []string // of each entity
}

// A Key describes one primary key of a keyring.
type Key struct {
	// Fingerprint is in upper-case hexadecimal: 40 digits of a version 4 key,
	// 64 of a version 6 key. It is what a person compares and a project pins.
	Fingerprint string
	// Name is the primary user id, "" if there is none; what cannot be printed
	// is "?".
	Name string
	// File is the file that it was read from, "" if from memory.
	File string
	// Created is in UTC.
	Created time.Time
	// Refused says why nothing that the key signs is accepted, "" if it is.
	Refused string
}

// Keys describes the primary keys in the order in which they were read.
func (k *Keyring) Keys() []Key {
	keys := make([]Key, len(k.entities))
	for i, e := range k.entities {
		keys[i] = Key{Fingerprint: fingerprint(e.PrimaryKey), Name: nameOf(e), File: k.files[i], Created: e.PrimaryKey.CreationTime.UTC()}
		if err := refusal(e); err != nil {
			keys[i].Refused = err.Error()
		}
	}
	return keys
}

func fingerprint(pk *packet.PublicKey) string { return fmt.Sprintf("%X", pk.Fingerprint) }

// maxName bounds a user id in messages, in bytes.
const maxName = 200

// nameOf is the primary user id in a form that can be printed: whoever made
// the key chose it, and could write more into a message than a name.
func nameOf(e *openpgp.Entity) string {
	id := e.PrimaryIdentity()
	if id == nil {
		return ""
	}
	name := id.Name
	if len(name) > maxName {
		name = name[:maxName] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

// Open reads the public keys of files, armored or binary, each with one key or
// more. A file is an error if all its keys are too weak or may not sign, or if
// one of them is a private key. A weak key beside a good one is no error:
// distributions keep their old keys in one file with the new. It is not trusted.
func Open(files ...string) (*Keyring, error) {
	k := new(Keyring)
	for _, name := range files {
		data, err := readBounded(name, maxKeyFile)
		if err != nil {
			return nil, err
		}
		if err := k.add(name, data); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return k, nil
}

// Parse reads public keys, armored or binary, from memory.
func Parse(data []byte) (*Keyring, error) {
	k := new(Keyring)
	return k, k.add("", data)
}

// Merge adds the keys of other. It must not run beside other methods of k.
func (k *Keyring) Merge(other *Keyring) {
	k.entities = append(k.entities, other.entities...)
	k.files = append(k.files, other.files...)
}

// Len is the number of primary keys.
func (k *Keyring) Len() int { return len(k.entities) }

func (k *Keyring) add(file string, data []byte) error {
	blocks, err := dearmor(data, openpgp.PublicKeyType)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	var added openpgp.EntityList
	for _, block := range blocks {
		entities, err := openpgp.ReadKeyRing(bytes.NewReader(block))
		if err != nil {
			return fmt.Errorf("public key: %w", err)
		}
		added = append(added, entities...)
	}
	if len(added) == 0 {
		return errors.New("no OpenPGP public key")
	}
	if err := checkKeys(added); err != nil {
		return err
	}
	for _, e := range added {
		k.entities, k.files = append(k.entities, e), append(k.files, file)
	}
	return nil
}

// checkKeys refuses the keys of a file if one is private or none can ever count.
func checkKeys(keys openpgp.EntityList) error {
	var refused error
	usable := 0
	for _, e := range keys {
		if e.PrivateKey != nil {
			return fmt.Errorf("key %s is a private key: keep it out of the project", fingerprint(e.PrimaryKey))
		}
		if err := incapable(e); err != nil {
			refused = errors.Join(refused, fmt.Errorf("key %s: %w", fingerprint(e.PrimaryKey), err))
			continue
		}
		usable++
	}
	if usable > 0 {
		return nil
	}
	return refused
}

// dearmor returns the binary content of every armored block of data, which
// must be of the type want, or data itself if it is not armored. A file often
// holds several blocks one after the other.
func dearmor(data []byte, want string) ([][]byte, error) {
	const begin, end = "-----BEGIN PGP ", "-----END PGP "
	if !bytes.Contains(data, []byte(begin)) {
		return [][]byte{data}, nil
	}
	var blocks [][]byte
	for {
		start := bytes.Index(data, []byte(begin))
		if start < 0 {
			return blocks, nil
		}
		data = data[start:]
		stop := bytes.Index(data, []byte(end))
		if stop < 0 {
			return nil, fmt.Errorf("armor without an end: %w", io.ErrUnexpectedEOF)
		}
		block, err := armor.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("armor: %w", err)
		}
		if block.Type != want {
			return nil, fmt.Errorf("armor holds a %q, not a %q", block.Type, want)
		}
		body, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, fmt.Errorf("armor: %w", err)
		}
		blocks = append(blocks, body)
		data = data[stop+len(end):]
	}
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// A Signer says who made a good signature, how, and when.
type Signer struct {
	// KeyID is the low 64 bits of the signing key's fingerprint (version 4), or
	// its high ones (version 6).
	KeyID uint64
	// Fingerprint is that of the primary key: see Key. Subkey is that of the
	// subkey that signed, "" if the primary key did.
	Fingerprint string
	Subkey      string
	// Name is the primary user id of the key, "" if it has none.
	Name string
	// Method is key algorithm, digest and version of the signature packet, as
	// "RSA-4096/SHA-256 v4".
	Method string
	// Time is the signature's creation time in UTC.
	Time time.Time
}

// String gives the key id in hexadecimal and the name.
func (s Signer) String() string { return fmt.Sprintf("%016X %s", s.KeyID, s.Name) }

// Verify checks the detached signature, armored or binary, holding one
// signature packet or more, over the bytes that signed opens; signed is called
// once per signature that is tried.
//
// The error wraps ErrUnsigned if there is no signature packet, ErrUntrustedKey
// if no signature is by a key of the ring that was valid then, ErrSignature
// otherwise.
func (k *Keyring) Verify(signature []byte, signed func() (io.Reader, error)) (Signer, error) {
	packets, err := splitSignatures(signature)
	if err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(packets) == 0 {
		return Signer{}, ErrUnsigned
	}
	var good *Signer
	var untrusted error
	for _, p := range packets {
		signer, err := k.verifyOne(p, signed)
		switch {
		case err == nil && good == nil:
			good = &signer
		case errors.Is(err, ErrUntrustedKey):
			untrusted = errors.Join(untrusted, err)
		case err != nil:
			return Signer{}, err
		}
	}
	if good == nil {
		return Signer{}, untrusted
	}
	return *good, nil
}
