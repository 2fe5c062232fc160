package keyring

import (
	"bytes"
	"errors"
	"io"
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
		{name: "SHA-1", sig: sha1Signature(t, key), want: ErrSignature},
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

// sha1Signature relabels a signature: its digest algorithm is SHA-1.
func sha1Signature(t testing.TB, key *openpgp.Entity) []byte {
	sig := sign(t, key, nil)
	i := bytes.Index(sig, []byte{4, 0, byte(packet.PubKeyAlgoEdDSA)})
	if i < 0 {
		t.Fatal("not a version 4 signature")
	}
	sig[i+3] = 2
	return sig
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
	for _, tt := range []struct {
		name string
		key  *openpgp.Entity
		sig  []byte
		want error
	}{
		{name: "signed before the key expired", key: expired, sig: sign(t, expired, at(made+life-1))},
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
