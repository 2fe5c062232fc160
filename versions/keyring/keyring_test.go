package keyring

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // for a signature that must be refused
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var message = []byte("signed")

func newKey(t testing.TB, config *packet.Config) *openpgp.Entity {
	t.Helper()
	if config == nil {
		config = &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	}
	e, err := openpgp.NewEntity("k", "", "k@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func public(t testing.TB, armored bool, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range keys {
		if !armored {
			if err := e.Serialize(&b); err != nil {
				t.Fatal(err)
			}
			continue
		}
		w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Serialize(w); err != nil {
			t.Fatal(err)
		}
		w.Close()
		b.WriteString("\n\n")
	}
	return b.Bytes()
}

func sign(t testing.TB, e *openpgp.Entity, config *packet.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.DetachSign(&b, e, bytes.NewReader(message), config); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func signed() (io.Reader, error) { return bytes.NewReader(message), nil }

func at(seconds int64) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Unix(seconds, 0) }}
}

func TestOpen(t *testing.T) {
	a, b := newKey(t, nil), newKey(t, nil)
	for name, data := range map[string][]byte{
		"binary": public(t, false, a, b), "armored": public(t, true, a, b),
		"armored with text around": append([]byte("Our keys:\n\n"), public(t, true, a, b)...),
	} {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		k, err := Open(file)
		if err != nil || k.Len() != 2 {
			t.Errorf("%s: %v keys, %v", name, k, err)
			continue
		}
		for _, e := range []*openpgp.Entity{a, b} {
			if _, err := k.Verify(sign(t, e, nil), signed); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("hello"), "cut": public(t, true, a)[:200]} {
		if _, err := Parse(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestVerify(t *testing.T) {
	key, other := newKey(t, nil), newKey(t, nil)
	ring, err := Parse(public(t, true, key))
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, key, nil)
	var armored bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&armored, key, bytes.NewReader(message), nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		sig  []byte
		want error
	}{
		{name: "binary", sig: good},
		{name: "armored", sig: armored.Bytes()},
		{name: "by a stranger, then by the key", sig: append(sign(t, other, nil), good...)},
		{name: "by a stranger", sig: sign(t, other, nil), want: ErrUntrustedKey},
		{name: "empty", want: ErrUnsigned},
		{name: "a key instead", sig: public(t, true, key), want: ErrSignature},
		{name: "cut", sig: good[:len(good)-3], want: ErrSignature},
		{name: "text", sig: []byte("hello"), want: ErrSignature},
		{name: "SHA-512", sig: handSigned(t, key.PrivateKey, crypto.SHA512, time.Now().Unix())},
		{name: "too many", sig: bytes.Repeat(good, maxSignatures+1), want: ErrSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ring.Verify(tt.sig, signed); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := ring.Verify(good, func() (io.Reader, error) { return strings.NewReader("other"), nil }); !errors.Is(err, ErrSignature) {
		t.Errorf("other bytes: %v", err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := ring.Verify(bad, signed); err == nil && !unhashed(good, bad) {
			t.Errorf("byte %d of the signature changed and accepted", i)
		}
	}
}

// unhashed says that two signatures differ in what a signature does not
// protect only: the unhashed subpackets and the left 16 bits of the digest.
func unhashed(a, b []byte) bool {
	parse := func(data []byte) *packet.Signature {
		p, err := packet.Read(bytes.NewReader(data))
		if err != nil {
			return nil
		}
		sig, _ := p.(*packet.Signature)
		return sig
	}
	x, y := parse(a), parse(b)
	return x != nil && y != nil && bytes.Equal(x.HashSuffix, y.HashSuffix)
}

// handSigned signs with what the library would not: any key, digest and time.
func handSigned(t testing.TB, key *packet.PrivateKey, hash crypto.Hash, when int64) []byte {
	t.Helper()
	sig := &packet.Signature{Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: hash,
		CreationTime: time.Unix(when, 0), IssuerKeyId: &key.KeyId}
	h := hash.New()
	h.Write(message)
	if err := sig.Sign(h, key, nil); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := sig.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestDigests: a signature is as good as its digest.
func TestDigests(t *testing.T) {
	key := newKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048})
	ring, err := Parse(public(t, false, key))
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[crypto.Hash]error{crypto.SHA1: ErrSignature, crypto.SHA256: nil, crypto.SHA384: nil, crypto.SHA512: nil} {
		if _, err := ring.Verify(byHand(t, key, hash), signed); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", hash, err, want)
		}
	}
}

// byHand makes a version 4 signature packet (RFC 4880 section 5.2.3) with an
// RSA key and any digest.
func byHand(t testing.TB, e *openpgp.Entity, hash crypto.Hash) []byte {
	t.Helper()
	id := map[crypto.Hash]byte{crypto.SHA1: 2, crypto.SHA256: 8, crypto.SHA384: 9, crypto.SHA512: 10}[hash]
	created := binary.BigEndian.AppendUint32(nil, uint32(e.PrimaryKey.CreationTime.Unix()))
	hashed := append([]byte{4, 0, 1, id, 0, 6, 5, 2}, created...)
	h := hash.New()
	h.Write(message)
	h.Write(hashed)
	h.Write(binary.BigEndian.AppendUint32([]byte{4, 0xff}, uint32(len(hashed))))
	digest := h.Sum(nil)
	mpi, err := rsa.SignPKCS1v15(nil, e.PrivateKey.PrivateKey.(*rsa.PrivateKey), hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	body := binary.BigEndian.AppendUint64(append(hashed, 0, 10, 9, 16), e.PrimaryKey.KeyId)
	body = append(body, digest[0], digest[1])
	number := new(big.Int).SetBytes(mpi)
	body = binary.BigEndian.AppendUint16(body, uint16(number.BitLen()))
	body = append(body, number.Bytes()...)
	return append([]byte{0x89, byte(len(body) >> 8), byte(len(body))}, body...)
}

// certifyOnly takes the right to sign files away from the primary key.
func certifyOnly(t testing.TB, e *openpgp.Entity) *openpgp.Entity {
	t.Helper()
	for name, id := range e.Identities {
		id.SelfSignature.FlagSign = false
		if err := id.SelfSignature.SignUserId(name, e.PrimaryKey, e.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// A key counts for what it signed while it was valid.
func TestValidity(t *testing.T) {
	const made, life = 1_000_000_000, 1000
	expiring := at(made)
	expiring.KeyLifetimeSecs = life
	expired := newKey(t, expiring)
	revoked := newKey(t, at(made))
	if err := revoked.RevokeKey(packet.NoReason, "", at(made+10)); err != nil {
		t.Fatal(err)
	}
	limited := at(made + 1)
	limited.SigLifetimeSecs = 10
	plain := newKey(t, at(made))
	certifier := certifyOnly(t, newKey(t, at(made)))
	if err := certifier.AddSigningSubkey(nil); err != nil { // else its file is refused
		t.Fatal(err)
	}
	withSubkey := certifyOnly(t, newKey(t, nil))
	if err := withSubkey.AddSigningSubkey(nil); err != nil {
		t.Fatal(err)
	}
	revokedSubkey := certifyOnly(t, newKey(t, at(made)))
	expiredSubkey := certifyOnly(t, newKey(t, at(made)))
	if err := errors.Join(revokedSubkey.AddSigningSubkey(at(made)), expiredSubkey.AddSigningSubkey(expiring)); err != nil {
		t.Fatal(err)
	}
	bySubkey := sign(t, revokedSubkey, at(made+1))
	last := &revokedSubkey.Subkeys[len(revokedSubkey.Subkeys)-1]
	if err := revokedSubkey.RevokeSubkey(last, packet.KeyCompromised, "stolen", at(made+10)); err != nil {
		t.Fatal(err)
	}
	expiredPrivate := expiredSubkey.Subkeys[len(expiredSubkey.Subkeys)-1].PrivateKey
	for _, tt := range []struct {
		name string
		key  *openpgp.Entity
		sig  []byte
		want error
	}{
		{name: "subkey revoked later", key: revokedSubkey, sig: bySubkey, want: ErrUntrustedKey},
		{name: "signed before the subkey expired", key: expiredSubkey, sig: handSigned(t, expiredPrivate, crypto.SHA256, made+life-1)},
		{name: "signed after the subkey expired", key: expiredSubkey, want: ErrUntrustedKey,
			sig: handSigned(t, expiredPrivate, crypto.SHA256, made+life+1)},
		{name: "signed before the key expired", key: expired, sig: sign(t, expired, at(made+life-1))},
		{name: "signed after the key expired", key: expired, want: ErrUntrustedKey,
			sig: handSigned(t, expired.PrivateKey, crypto.SHA256, made+life+1)},
		{name: "signed before the key was made", key: plain, want: ErrUntrustedKey,
			sig: handSigned(t, plain.PrivateKey, crypto.SHA256, made-1)},
		{name: "key may not sign", key: certifier, want: ErrUntrustedKey,
			sig: handSigned(t, certifier.PrivateKey, crypto.SHA256, made+1)},
		{name: "signing subkey", key: withSubkey, sig: sign(t, withSubkey, nil)},
		{name: "signature expired", key: plain, sig: sign(t, plain, limited), want: ErrSignature},
		{name: "revoked later", key: revoked, sig: revokedSignature(t, revoked, at(made+1)), want: ErrUntrustedKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ring, err := Parse(public(t, false, tt.key))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ring.Verify(tt.sig, signed); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// revokedSignature signs with a key that the library would no longer sign with.
func revokedSignature(t testing.TB, e *openpgp.Entity, config *packet.Config) []byte {
	free := *e
	free.Revocations = nil
	return sign(t, &free, config)
}

func FuzzVerify(f *testing.F) {
	key := newKey(f, nil)
	ring, err := Parse(public(f, true, newKey(f, nil)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sign(f, key, nil))
	f.Add([]byte{0x89, 0, 22, 3, 5, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 8, 0, 0, 0, 8, 255})
	f.Add([]byte("-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		if _, err := ring.Verify(sig, signed); err == nil {
			t.Error("verified without the key")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(public(f, true, newKey(f, nil)))
	f.Add(public(f, false, newKey(f, nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := Parse(data); err == nil && k.Len() == 0 {
			t.Error("no key and no error")
		}
	})
}
