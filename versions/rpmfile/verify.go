package rpmfile

import (
	"crypto"
	"crypto/sha256"
	_ "crypto/sha512" // registers digest algorithms 9 and 10
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// Tags of the signature header (rpmSigTag).
const (
	sigDSA      = 267  // over the main header; also EdDSA and ECDSA
	sigRSA      = 268  // over the main header
	sigLongSize = 270  // bytes of header and payload
	sigSHA256   = 273  // of the main header, hexadecimal
	sigOpenPGP  = 278  // over the main header, base64, several; rpm 6
	sigSize     = 1000 // bytes of header and payload
	sigPGP      = 1002 // over header and payload, RSA
	sigGPG      = 1005 // over header and payload, DSA
)

// A Verification says what has proved a package.
type Verification struct {
	// Signer made the signature, in the signature packet's own terms.
	Signer keyring.Signer
	// WholeFile says that the signature is over header and payload (tags 1002,
	// 1005); else it is over the header, which has a digest of the payload.
	WholeFile bool
	// PayloadDigest is the algorithm of that digest; 0 if WholeFile.
	PayloadDigest crypto.Hash
}

// Verify proves that the package is, byte for byte from the main header on,
// what the holder of one of the keys signed:
//
//  1. the size and the header's SHA-256, where the signature header has them:
//     these say clearly what is wrong, they prove nothing;
//  2. the header's signatures (tags 267, 268, 278) and the payload's digest in
//     the header (tag 5092); or, for packages made before rpm 4.14, which have
//     no such digest, a signature over header and payload (tags 1002, 1005).
//
// The error wraps ErrTruncated, ErrFormat, ErrChecksum, [keyring.ErrUnsigned],
// [keyring.ErrSignature] or [keyring.ErrUntrustedKey].
func (p *Package) Verify(keys *keyring.Keyring) (Verification, error) {
	v, err := p.verify(keys)
	if err != nil {
		return Verification{}, fmt.Errorf("%s: %w", p.name, err)
	}
	return v, nil
}

func (p *Package) verify(keys *keyring.Keyring) (Verification, error) {
	if err := p.checkSize(); err != nil {
		return Verification{}, err
	}
	if err := p.checkHeaderDigest(); err != nil {
		return Verification{}, err
	}
	headerSigs, err := p.headerSignatures()
	if err != nil {
		return Verification{}, err
	}
	signer, err := verifyAny(keys, headerSigs, func() (io.Reader, error) { return p.headerReader(), nil })
	if err != nil && !errors.Is(err, keyring.ErrUnsigned) {
		return Verification{}, err
	}
	headerSigned := err == nil
	digest, err := p.checkPayloadDigest()
	if err != nil {
		return Verification{}, err
	}
	if headerSigned && digest != 0 {
		return Verification{Signer: signer, PayloadDigest: digest}, nil
	}
	return p.verifyWhole(keys, headerSigned)
}

// verifyWhole checks the older signatures, over header and payload.
func (p *Package) verifyWhole(keys *keyring.Keyring, headerSigned bool) (Verification, error) {
	sigs, err := p.binarySignatures(sigPGP, sigGPG)
	if err != nil {
		return Verification{}, err
	}
	signer, err := verifyAny(keys, sigs, func() (io.Reader, error) {
		return io.MultiReader(p.headerReader(), p.payloadReader()), nil
	})
	if headerSigned && errors.Is(err, keyring.ErrUnsigned) {
		return Verification{}, fmt.Errorf("%w: it does not cover the payload", keyring.ErrSignature)
	}
	return Verification{Signer: signer, WholeFile: true}, err
}

// binarySignatures returns the values of the tags that are there.
func (p *Package) binarySignatures(tags ...uint32) ([][]byte, error) {
	var sigs [][]byte
	for _, tag := range tags {
		b, err := p.sig.bytes(tag)
		if err != nil {
			return nil, err
		}
		if b != nil {
			sigs = append(sigs, b)
		}
	}
	return sigs, nil
}

// verifyAny wants one good signature and no bad one.
func verifyAny(keys *keyring.Keyring, sigs [][]byte, signed func() (io.Reader, error)) (keyring.Signer, error) {
	var signer keyring.Signer
	result := keyring.ErrUnsigned
	for _, sig := range sigs {
		s, err := keys.Verify(sig, signed)
		switch {
		case err == nil:
			signer, result = s, nil
		case errors.Is(err, keyring.ErrUntrustedKey):
			if result != nil {
				result = err
			}
		default:
			return keyring.Signer{}, err
		}
	}
	return signer, result
}

// headerSignatures returns all binary signatures over the header.
func (p *Package) headerSignatures() ([][]byte, error) {
	sigs, err := p.binarySignatures(sigDSA, sigRSA)
	if err != nil {
		return nil, err
	}
	encoded, err := p.sig.strings(sigOpenPGP)
	if err != nil {
		return nil, err
	}
	for _, s := range encoded {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
		if err != nil {
			return nil, fmt.Errorf("%w: tag %d: %w", keyring.ErrSignature, sigOpenPGP, err)
		}
		sigs = append(sigs, b)
	}
	return sigs, nil
}

// checkSize tells a file that was cut, or to which something was added, from
// one that was changed.
func (p *Package) checkSize() error {
	want, err := p.sig.number(sigLongSize)
	if err != nil {
		return err
	}
	if want == 0 {
		if want, err = p.sig.number(sigSize); err != nil {
			return err
		}
	}
	have := uint64(int64(len(p.hdr.raw)) + p.size - p.payloadOffset)
	switch {
	case want > have:
		return fmt.Errorf("%w: header and payload are %d bytes, not %d", ErrTruncated, have, want)
	case want < have && want != 0:
		return fmt.Errorf("%w: header and payload are %d bytes, not %d", ErrChecksum, have, want)
	}
	return nil
}

func (p *Package) checkHeaderDigest() error {
	want, err := p.sig.str(sigSHA256)
	if err != nil || want == "" {
		return err
	}
	sum := sha256.Sum256(p.hdr.raw)
	if have := hex.EncodeToString(sum[:]); have != strings.ToLower(want) {
		return fmt.Errorf("header: %w: SHA-256 is %s, not %s", ErrChecksum, have, want)
	}
	return nil
}

// payloadDigests are the algorithms accepted for the payload's digest, by their
// OpenPGP ids (RFC 9580 section 9.5). Rpm 6 leaves the id out: it is SHA-256.
var payloadDigests = map[uint64]crypto.Hash{0: crypto.SHA256, 8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512}

// checkPayloadDigest compares the compressed payload with the header's digest
// and returns its algorithm, 0 if there is none or it is too weak to count.
func (p *Package) checkPayloadDigest() (crypto.Hash, error) {
	want, err := p.hdr.str(tagPayloadDigest)
	if err != nil || want == "" {
		return 0, err
	}
	id, err := p.hdr.number(tagPayloadDigestAlgo)
	if err != nil {
		return 0, err
	}
	algorithm, ok := payloadDigests[id]
	if !ok {
		return 0, nil
	}
	h := algorithm.New()
	if _, err := io.Copy(h, p.payloadReader()); err != nil {
		return 0, err
	}
	if have := hex.EncodeToString(h.Sum(nil)); have != strings.ToLower(want) {
		return 0, fmt.Errorf("payload: %w: %s is %s, not %s", ErrChecksum, algorithm, have, want)
	}
	return algorithm, nil
}
