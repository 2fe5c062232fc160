package keyring

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // registers the digests that signatures name
	_ "crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const (
	tagSignature = 2 // OpenPGP packet tag of a signature
	// maxSignatures bounds the signatures tried, each of which costs a pass
	// over the signed bytes.
	maxSignatures = 16
)

// splitSignatures returns the bodies of all signature packets.
func splitSignatures(data []byte) ([]*packet.OpaquePacket, error) {
	blocks, err := dearmor(data, openpgp.SignatureType)
	if err != nil {
		return nil, err
	}
	var out []*packet.OpaquePacket
	for _, block := range blocks {
		r := packet.NewOpaqueReader(bytes.NewReader(block))
		for {
			p, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
			if p.Tag != tagSignature {
				return nil, fmt.Errorf("packet with tag %d is not a signature", p.Tag)
			}
			if out = append(out, p); len(out) > maxSignatures {
				return nil, fmt.Errorf("more than %d signatures", maxSignatures)
			}
		}
	}
	return out, nil
}

// parsed is what the two packet formats have in common.
type parsed struct {
	version   byte
	algorithm crypto.Hash
	created   time.Time
	expires   func(now time.Time) bool
	isBy      func(*packet.PublicKey) bool
	issuer    string
	newHash   func() (hash.Hash, error)
	verify    func(*packet.PublicKey, hash.Hash) error
}

// verifyOne checks one signature packet against the key that made it. Key ids
// are short enough to be forged: of several keys with one, any may have made it.
func (k *Keyring) verifyOne(op *packet.OpaquePacket, signed func() (io.Reader, error)) (Signer, error) {
	sig, err := parseSignature(op)
	if err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	candidates, err := k.find(sig)
	if err != nil {
		return Signer{}, err
	}
	if err := acceptable(sig); err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for _, c := range candidates {
		if err = verifyBy(c.key, sig, signed); err == nil {
			return c.signer(sig), nil
		}
		if !errors.Is(err, ErrSignature) {
			break // the signed bytes cannot be read
		}
	}
	return Signer{}, err
}

// verifyBy checks sig against one key. The error wraps ErrSignature unless the
// signed bytes cannot be read.
func verifyBy(key *packet.PublicKey, sig *parsed, signed func() (io.Reader, error)) error {
	h, err := sig.newHash()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	r, err := signed()
	if err != nil {
		return err
	}
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if err := sig.verify(key, h); err != nil {
		return fmt.Errorf("%w by key %s: %w", ErrSignature, fingerprint(key), err)
	}
	return nil
}

// A candidate is a key that could have made a signature.
type candidate struct {
	key    *packet.PublicKey
	entity *openpgp.Entity
}

func (c candidate) signer(sig *parsed) Signer {
	s := Signer{
		KeyID: c.key.KeyId, Fingerprint: fingerprint(c.entity.PrimaryKey), Name: nameOf(c.entity),
		Method: fmt.Sprintf("%s/%s v%d", algorithmName(c.key), sig.algorithm, sig.version),
		Time:   sig.created.UTC(),
	}
	if c.key != c.entity.PrimaryKey {
		s.Subkey = fingerprint(c.key)
	}
	return s
}

func parseSignature(op *packet.OpaquePacket) (*parsed, error) {
	if len(op.Contents) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if op.Contents[0] == 3 {
		return parseV3(op.Contents)
	}
	p, err := op.Parse()
	if err != nil {
		return nil, err
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return nil, fmt.Errorf("signature packet of version %d is not supported", op.Contents[0])
	}
	if sig.SigType != packet.SigTypeBinary {
		return nil, fmt.Errorf("signature of type %#x does not sign a file", byte(sig.SigType))
	}
	for _, n := range sig.Notations {
		if n.IsCritical {
			return nil, fmt.Errorf("unknown critical notation %q", n.Name)
		}
	}
	return &parsed{
		version:   op.Contents[0],
		algorithm: sig.Hash,
		created:   sig.CreationTime,
		expires:   sig.SigExpired,
		isBy:      sig.CheckKeyIdOrFingerprint,
		issuer:    issuerOf(sig),
		newHash:   sig.PrepareVerify,
		verify: func(pk *packet.PublicKey, h hash.Hash) error {
			if err := pk.VerifySignature(h, sig); err != nil {
				return err
			}
			// The library does not compare the digest's first bytes, which
			// the packet repeats. It leaves all that was signed in h.
			if !bytes.Equal(h.Sum(nil)[:2], sig.HashTag[:]) {
				return errors.New("the digest is another")
			}
			return nil
		},
	}, nil
}

func issuerOf(sig *packet.Signature) string {
	switch {
	case len(sig.IssuerFingerprint) > 0:
		return fmt.Sprintf("%X", sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return "unknown"
}

// hashAlgorithms maps RFC 9580 section 9.5 ids to the digests accepted in a
// version 3 signature.
var hashAlgorithms = map[byte]crypto.Hash{
	8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512, 11: crypto.SHA224,
}

// parseV3 parses a version 3 signature packet, RFC 4880 section 5.2.2:
//
//	0  version 3      1  length 5 of what is hashed behind the data
//	2  type           3  creation time, 4 bytes
//	7  key id, 8 bytes
//	15 public-key algorithm   16 hash algorithm   17 left 16 bits of the digest
//	19 one MPI (RSA)
func parseV3(b []byte) (*parsed, error) {
	const fixed = 19
	if len(b) < fixed+2 || b[1] != 5 {
		return nil, errors.New("version 3 signature: malformed")
	}
	if b[2] != byte(packet.SigTypeBinary) {
		return nil, fmt.Errorf("signature of type %#x does not sign a file", b[2])
	}
	if b[15] != byte(packet.PubKeyAlgoRSA) && b[15] != byte(packet.PubKeyAlgoRSASignOnly) {
		return nil, fmt.Errorf("version 3 signature: public-key algorithm %d is not supported", b[15])
	}
	algorithm := hashAlgorithms[b[16]] // 0 is refused by acceptable
	mpi := b[fixed+2:]
	if bits := int(binary.BigEndian.Uint16(b[fixed:])); bits == 0 || new(big.Int).SetBytes(mpi).BitLen() != bits || len(mpi) != (bits+7)/8 {
		return nil, errors.New("version 3 signature: malformed integer")
	}
	id := binary.BigEndian.Uint64(b[7:])
	return &parsed{
		version:   3,
		algorithm: algorithm,
		created:   time.Unix(int64(binary.BigEndian.Uint32(b[3:])), 0),
		expires:   func(time.Time) bool { return false },
		isBy:      func(pk *packet.PublicKey) bool { return pk.KeyId == id },
		issuer:    fmt.Sprintf("%016X", id),
		newHash:   func() (hash.Hash, error) { return algorithm.New(), nil },
		verify: func(pk *packet.PublicKey, h hash.Hash) error {
			return verifyV3(pk, algorithm, h, b, mpi)
		},
	}, nil
}

// verifyV3 checks the version 3 packet b with the RSA signature mpi.
func verifyV3(pk *packet.PublicKey, algorithm crypto.Hash, h hash.Hash, b, mpi []byte) error {
	pub, ok := pk.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("the key is not an RSA key")
	}
	h.Write(b[2:7]) // type and time
	digest := h.Sum(nil)
	if !bytes.Equal(digest[:2], b[17:19]) {
		return errors.New("the digest is another")
	}
	// An MPI has no leading zeros, PKCS #1 wants the modulus' length.
	if len(mpi) > pub.Size() {
		return rsa.ErrVerification
	}
	sig := make([]byte, pub.Size())
	copy(sig[len(sig)-len(mpi):], mpi)
	return rsa.VerifyPKCS1v15(pub, algorithm, digest, sig)
}

// acceptable refuses what is too weak, whoever signed.
func acceptable(sig *parsed) error {
	switch sig.algorithm {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return fmt.Errorf("digest algorithm %d is too weak or unknown", uint(sig.algorithm))
	}
	if sig.expires(time.Now()) {
		return errors.New("the signature has expired or is of the future")
	}
	return nil
}
