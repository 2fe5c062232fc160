package keyring

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const minRSABits = 2048

// find returns the keys that may have made sig, if they could when it was made.
func (k *Keyring) find(sig *parsed) ([]candidate, error) {
	var found []candidate
	reason := errors.New("not in the keyring")
	for _, e := range k.entities {
		if sig.isBy(e.PrimaryKey) {
			if err := usable(e, nil, sig.created); err != nil {
				reason = err
			} else {
				found = append(found, candidate{e.PrimaryKey, e})
			}
		}
		for i := range e.Subkeys {
			sub := &e.Subkeys[i]
			if !sig.isBy(sub.PublicKey) {
				continue
			}
			if err := usable(e, sub, sig.created); err != nil {
				reason = err
			} else {
				found = append(found, candidate{sub.PublicKey, e})
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: key %s: %w", ErrUntrustedKey, sig.issuer, reason)
	}
	return found, nil
}

// usable says why the primary key of e, or its subkey sub, could not sign at
// the time at. Revocation counts from whenever it was made.
func usable(e *openpgp.Entity, sub *openpgp.Subkey, at time.Time) error {
	if err := revoked(e); err != nil {
		return err
	}
	if sub != nil && sub.Revoked(time.Now()) {
		return errors.New("revoked")
	}
	self, _ := e.PrimarySelfSignature()
	if self == nil {
		return errors.New("no self-signature")
	}
	if e.PrimaryKey.KeyExpired(self, at) {
		return errors.New("expired or not yet made when it signed")
	}
	if sub == nil {
		return maySign(e)
	}
	if sub.PublicKey.KeyExpired(sub.Sig, at) {
		return errors.New("subkey expired or not yet made when it signed")
	}
	return subkeyMaySign(sub)
}

func revoked(e *openpgp.Entity) error {
	_, identity := e.PrimarySelfSignature()
	now := time.Now()
	if e.Revoked(now) || identity != nil && identity.Revoked(now) {
		return errors.New("revoked")
	}
	return nil
}

// refusal says why nothing that e signs is accepted, at any time.
func refusal(e *openpgp.Entity) error {
	if err := revoked(e); err != nil {
		return err
	}
	return incapable(e)
}

// incapable says why neither the primary key of e nor any of its subkeys can
// make a signature that counts.
func incapable(e *openpgp.Entity) error {
	err := maySign(e)
	for i := range e.Subkeys {
		if err != nil && subkeyMaySign(&e.Subkeys[i]) == nil {
			return nil
		}
	}
	return err
}

func maySign(e *openpgp.Entity) error {
	self, _ := e.PrimarySelfSignature()
	if self == nil {
		return errors.New("no self-signature")
	}
	if self.FlagsValid && !self.FlagSign {
		return errors.New("may not sign")
	}
	return strong(e.PrimaryKey)
}

func subkeyMaySign(sub *openpgp.Subkey) error {
	if !sub.Sig.FlagsValid || !sub.Sig.FlagSign {
		return errors.New("subkey may not sign")
	}
	return strong(sub.PublicKey)
}

// strong refuses key algorithms and sizes that can be broken, or nearly.
func strong(pk *packet.PublicKey) error {
	if pub, ok := pk.PublicKey.(*rsa.PublicKey); ok && pub.N.BitLen() < minRSABits {
		return fmt.Errorf("RSA key of %d bits is too short", pub.N.BitLen())
	}
	switch pk.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA,
		packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448, packet.PubKeyAlgoMldsa65Ed25519, packet.PubKeyAlgoMldsa87Ed448:
		return nil
	case packet.PubKeyAlgoDSA:
		return errors.New("DSA keys are too weak")
	}
	return fmt.Errorf("public-key algorithm %d is too weak or cannot sign", pk.PubKeyAlgo)
}

// algorithmName names a key's algorithm as people do.
func algorithmName(pk *packet.PublicKey) string {
	switch pk.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if pub, ok := pk.PublicKey.(*rsa.PublicKey); ok {
			return fmt.Sprintf("RSA-%d", pub.N.BitLen())
		}
	case packet.PubKeyAlgoECDSA:
		if curve, err := pk.Curve(); err == nil {
			return "ECDSA-" + string(curve)
		}
	case packet.PubKeyAlgoEdDSA:
		return "EdDSA"
	case packet.PubKeyAlgoEd25519:
		return "Ed25519"
	case packet.PubKeyAlgoEd448:
		return "Ed448"
	case packet.PubKeyAlgoMldsa65Ed25519:
		return "ML-DSA-65+Ed25519"
	case packet.PubKeyAlgoMldsa87Ed448:
		return "ML-DSA-87+Ed448"
	}
	return fmt.Sprintf("algorithm %d", pk.PubKeyAlgo)
}
