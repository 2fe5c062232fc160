package rpmfile

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

var someFiles = []member{{name: "./lib64/libx.so", mode: 0o100755, data: "library"}}

// signV3 makes a version 3 signature packet (RFC 4880 section 5.2.2), which
// rpm wrote for decades and no current library makes.
func signV3(t testing.TB, e *openpgp.Entity, data ...[]byte) []byte {
	t.Helper()
	trailer := binary.BigEndian.AppendUint32([]byte{0}, uint32(e.PrimaryKey.CreationTime.Unix()))
	h := sha256.New()
	for _, d := range append(data, trailer) {
		h.Write(d)
	}
	digest := h.Sum(nil)
	sig, err := rsa.SignPKCS1v15(nil, e.PrivateKey.PrivateKey.(*rsa.PrivateKey), crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	for sig[0] == 0 { // an MPI has no leading zeros
		sig = sig[1:]
	}
	bits := len(sig) * 8
	for top := sig[0]; top < 0x80; top <<= 1 {
		bits--
	}
	body := append([]byte{3, 5}, trailer...)
	body = binary.BigEndian.AppendUint64(body, e.PrimaryKey.KeyId)
	body = append(body, byte(packet.PubKeyAlgoRSA), 8, digest[0], digest[1])
	body = binary.BigEndian.AppendUint16(body, uint16(bits))
	body = append(body, sig...)
	// Old packet format, tag 2, two-byte length.
	return append([]byte{0x89, byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestVerify(t *testing.T) {
	rsaKey, rsaRing := newKey(t, "rsa", packet.PubKeyAlgoRSA)
	edKey, edRing := newKey(t, "eddsa", packet.PubKeyAlgoEdDSA)
	newEd, newEdRing := newKey(t, "ed25519", packet.PubKeyAlgoEd25519)
	ecKey, ecRing := configuredKey(t, "ecdsa", &packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP384})
	v6Key, v6Ring := configuredKey(t, "v6", &packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true})
	type tags = map[uint32]tagValue
	headerOnly := func(tag uint32, key *openpgp.Entity) func(h, p []byte) tags {
		return func(h, p []byte) tags { return tags{tag: binaryTag(detached(t, key, h))} }
	}
	for _, tt := range []struct {
		name     string
		noDigest bool
		sign     func(header, payload []byte) tags
		keys     *keyring.Keyring
		want     error
	}{
		{name: "RSA over the header", sign: headerOnly(sigRSA, rsaKey), keys: rsaRing},
		{name: "EdDSA over the header", sign: headerOnly(sigDSA, edKey), keys: edRing},
		{name: "rpm 6", keys: edRing, sign: func(h, p []byte) tags {
			return tags{sigOpenPGP: stringsTag([]string{
				base64.StdEncoding.EncodeToString(detached(t, rsaKey, h)),
				base64.StdEncoding.EncodeToString(detached(t, edKey, h))})}
		}},
		{name: "Ed25519 of RFC 9580", sign: headerOnly(sigDSA, newEd), keys: newEdRing},
		{name: "ECDSA", sign: headerOnly(sigDSA, ecKey), keys: ecRing},
		{name: "rpm 6, version 6 key", keys: v6Ring, sign: func(h, p []byte) tags {
			return tags{sigOpenPGP: stringsTag([]string{base64.StdEncoding.EncodeToString(detached(t, rsaKey, h)), base64.StdEncoding.EncodeToString(detached(t, v6Key, h))})}
		}},
		{name: "version 3 over the header", keys: rsaRing, sign: func(h, p []byte) tags {
			return tags{sigRSA: binaryTag(signV3(t, rsaKey, h))}
		}},
		{name: "version 3 over another header", keys: rsaRing, want: keyring.ErrSignature, sign: func(h, p []byte) tags {
			return tags{sigRSA: binaryTag(signV3(t, rsaKey, h, []byte("x")))}
		}},
		{name: "version 3 by another key", keys: edRing, want: keyring.ErrUntrustedKey, sign: func(h, p []byte) tags {
			return tags{sigRSA: binaryTag(signV3(t, rsaKey, h))}
		}},
		{name: "old package, whole file", noDigest: true, keys: rsaRing, sign: func(h, p []byte) tags {
			return tags{sigRSA: binaryTag(signV3(t, rsaKey, h)), sigPGP: binaryTag(signV3(t, rsaKey, h, p))}
		}},
		{name: "old package, header only", noDigest: true, sign: headerOnly(sigRSA, rsaKey), keys: rsaRing, want: keyring.ErrSignature},
		{name: "old package, other payload", noDigest: true, keys: rsaRing, want: keyring.ErrSignature, sign: func(h, p []byte) tags {
			return tags{sigGPG: binaryTag(detached(t, rsaKey, h, p, []byte("x")))}
		}},
		{name: "unsigned", keys: rsaRing, want: keyring.ErrUnsigned},
		{name: "no keys", sign: headerOnly(sigRSA, rsaKey), keys: new(keyring.Keyring), want: keyring.ErrUntrustedKey},
		{name: "other key", sign: headerOnly(sigRSA, rsaKey), keys: edRing, want: keyring.ErrUntrustedKey},
		{name: "one good, one bad", keys: rsaRing, want: keyring.ErrSignature, sign: func(h, p []byte) tags {
			return tags{sigRSA: binaryTag(detached(t, rsaKey, h)), sigDSA: binaryTag(detached(t, rsaKey, p))}
		}},
		{name: "garbage", keys: rsaRing, want: keyring.ErrSignature, sign: func(h, p []byte) tags {
			return tags{sigRSA: binaryTag([]byte("not a packet"))}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := open(t, spec{members: someFiles, noDigest: tt.noDigest, sign: tt.sign}.build(t))
			v, err := p.Verify(tt.keys)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && v.Signer.KeyID == 0 {
				t.Error("no signer")
			}
		})
	}
}

func signedPackage(t testing.TB) ([]byte, *keyring.Keyring) {
	key, ring := newKey(t, "rsa", packet.PubKeyAlgoRSA)
	return spec{members: someFiles, sign: func(h, p []byte) map[uint32]tagValue {
		return map[uint32]tagValue{sigRSA: binaryTag(detached(t, key, h))}
	}}.build(t), ring
}

// Whichever bit of header and payload is changed, it is not accepted.
func TestVerifyRefusesEveryChangedByte(t *testing.T) {
	good, ring := signedPackage(t)
	p := open(t, good)
	if _, err := p.Verify(ring); err != nil {
		t.Fatal(err)
	}
	start := int(p.payloadOffset) - len(p.hdr.raw)
	for i := start; i < len(good); i++ {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if p, err := New("bad.rpm", bytesReader(bad), int64(len(bad))); err == nil {
			if _, err := p.Verify(ring); err == nil {
				t.Fatalf("byte %#x changed and accepted", i)
			}
		}
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	good, ring := signedPackage(t)
	for n := range good {
		p, err := New("short.rpm", bytesReader(good[:n]), int64(n))
		if err == nil {
			_, err = p.Verify(ring)
		}
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(good), err)
		}
	}
}

func TestHostileNames(t *testing.T) {
	for _, n := range []NEVRA{
		{Name: "../x", Version: "1", Release: "1", Arch: "x86_64"},
		{Name: "x", Version: "1/2", Release: "1", Arch: "x86_64"},
		{Name: "x", Version: "1", Release: "1\n", Arch: "x86_64"},
		{Name: "x", Version: "1", Release: "1", Arch: ""},
		{Name: "x", Version: "1-2", Release: "1", Arch: "x86_64"},
	} {
		data := spec{nevra: n}.build(t)
		if _, err := New("x.rpm", bytesReader(data), int64(len(data))); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v, want ErrFormat", n, err)
		}
	}
}
