package keyring

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A file of which no key could ever count is a mistake, better told at once.
func TestParseRefuses(t *testing.T) {
	short := newKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 1024})
	certifier := certifyOnly(t, newKey(t, nil))
	good := newKey(t, nil)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"short RSA key":  {public(t, false, short), "RSA key of 1024 bits is too short"},
		"cannot sign":    {public(t, true, certifier), "may not sign"},
		"both":           {public(t, true, certifier, short), "too short"},
		"a private key":  {private(t, good), "private key"},
		"not an OpenPGP": {[]byte("hello"), "public key"},
	} {
		if k, err := Parse(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) || k.Len() != 0 {
			t.Errorf("%s: %d keys, %v, want %q", name, k.Len(), err, tt.want)
		}
	}
	k, err := Parse(public(t, true, short, good))
	if err != nil {
		t.Fatal(err)
	}
	keys := k.Keys()
	if len(keys) != 2 || !strings.Contains(keys[0].Refused, "too short") || keys[1].Refused != "" {
		t.Errorf("a weak key beside a good one: %+v", keys)
	}
	if want := fmt.Sprintf("%X", good.PrimaryKey.Fingerprint); len(want) != 40 || keys[1].Fingerprint != want || keys[1].Name != "k <k@example.org>" {
		t.Errorf("%+v, want fingerprint %s", keys[1], want)
	}
	weak := handSigned(t, short.PrivateKey, crypto.SHA256, time.Now().Unix())
	if _, err := k.Verify(weak, signed); !errors.Is(err, ErrUntrustedKey) || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("signed by the weak one: %v", err)
	}
}

func private(t testing.TB, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivate(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every kind of key that an archive may sign with, and what is said of it.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		config packet.Config
		method string
		digits int
	}{
		{packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}, "RSA-2048/SHA-256 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 3072}, "RSA-3072/SHA-256 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}, "EdDSA/SHA-256 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoEd25519}, "Ed25519/SHA-256 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256}, "ECDSA-P256/SHA-256 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP384}, "ECDSA-P384/SHA-384 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP521}, "ECDSA-P521/SHA-512 v4", 40},
		{packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true}, "Ed25519/SHA-256 v6", 64},
		{packet.Config{Algorithm: packet.PubKeyAlgoEd448, V6Keys: true}, "Ed448/SHA-512 v6", 64},
		{packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, V6Keys: true}, "RSA-2048/SHA-256 v6", 64},
		{packet.Config{Algorithm: packet.PubKeyAlgoMldsa65Ed25519, V6Keys: true}, "ML-DSA-65+Ed25519/SHA-256 v6", 64},
	} {
		t.Run(tt.method, func(t *testing.T) {
			key := newKey(t, &tt.config)
			ring, err := Parse(public(t, false, key))
			if err != nil {
				t.Fatal(err)
			}
			sig := sign(t, key, &tt.config)
			s, err := ring.Verify(sig, signed)
			if err != nil {
				t.Fatal(err)
			}
			if s.Method != tt.method || len(s.Fingerprint) != tt.digits || s.Subkey != "" {
				t.Errorf("%#v", s)
			}
			other := func() (io.Reader, error) { return strings.NewReader("Signed"), nil }
			if _, err := ring.Verify(sig, other); !errors.Is(err, ErrSignature) {
				t.Errorf("other bytes: %v", err)
			}
			last := bytes.Clone(sig)
			last[len(last)-1] ^= 1
			if _, err := ring.Verify(last, signed); !errors.Is(err, ErrSignature) {
				t.Errorf("last byte of the signature changed: %v", err)
			}
		})
	}
}

// Whoever makes a key names it; a name must not write lines of its own into a
// message, or colours into a terminal.
func TestNamesArePrintable(t *testing.T) {
	key := newKey(t, nil)
	for old, id := range key.Identities {
		delete(key.Identities, old)
		id.Name = "x\n\x1b[31mhint: all is well\xff" + strings.Repeat("y", 300)
		id.UserId = packet.NewUserId("", "", "")
		id.UserId.Id = id.Name
		if err := id.SelfSignature.SignUserId(id.Name, key.PrimaryKey, key.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
		key.Identities[id.Name] = id
	}
	ring, err := Parse(public(t, false, key))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ring.Verify(sign(t, key, nil), signed)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.Name, ring.Keys()[0].Name} {
		if strings.ContainsAny(name, "\n\x1b") || !utf8.ValidString(name) || !strings.HasPrefix(name, "x??[31mhint") || len(name) > maxName+10 {
			t.Errorf("%q", name)
		}
	}
}
