package rpmfile

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// parts are the sections of a package.
type parts struct{ lead, sig, header, payload []byte }

func split(t testing.TB, data []byte) parts {
	t.Helper()
	p := open(t, data)
	start := int(p.payloadOffset) - len(p.hdr.raw)
	return parts{data[:leadSize], data[leadSize:start], data[start:p.payloadOffset], data[p.payloadOffset:]}
}

func (p parts) join() []byte { return slices.Concat(p.lead, p.sig, p.header, p.payload) }

// forger has two packages by one trusted key, and the means to make more.
type forger struct {
	testing.TB
	key          *openpgp.Entity
	ring         *keyring.Keyring
	first, other parts
}

func newForger(t testing.TB) *forger {
	f := &forger{TB: t}
	f.key, f.ring = newKey(t, "vendor", packet.PubKeyAlgoEdDSA)
	f.first = split(t, f.pkg(spec{members: someFiles}))
	f.other = split(t, f.pkg(spec{members: []member{{name: "./lib64/libx.so", mode: 0o100755, data: "another"}}}))
	return f
}

// pkg makes a package whose header the vendor signed.
func (f *forger) pkg(s spec) []byte {
	s.sign = func(h, p []byte) map[uint32]tagValue {
		return map[uint32]tagValue{sigDSA: binaryTag(detached(f, f.key, h))}
	}
	return s.build(f)
}

// mangled makes a package whose header was changed before the vendor signed
// it: the signature is right, the header is not.
func (f *forger) mangled(change func(header []byte) []byte) []byte {
	return f.pkg(spec{members: someFiles, mangle: change})
}

// resigned puts other signature tags in front of the first package.
func (f *forger) resigned(tags map[uint32]tagValue) []byte {
	return assemble(f.first.header, f.first.payload, tags)
}

// entryOf is the index entry of a tag in a header.
func entryOf(header []byte, tag uint32) []byte {
	for i := range binary.BigEndian.Uint32(header[8:]) {
		b := header[introSize+i*entrySize:][:entrySize]
		if binary.BigEndian.Uint32(b) == tag {
			return b
		}
	}
	panic("no such tag")
}

// field changes a field of the entry of a tag: 0 tag, 1 type, 2 offset, 3 count.
func field(tag uint32, n int, to uint32) func([]byte) []byte {
	return func(h []byte) []byte {
		binary.BigEndian.PutUint32(entryOf(h, tag)[4*n:], to)
		return h
	}
}

// dribble adds an entry outside of the region: a reader that ignores regions
// takes it for the package's own.
func dribble(tag uint32, v tagValue) func([]byte) []byte {
	return func(h []byte) []byte {
		n, size := binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:])
		index, data := h[introSize:introSize+n*entrySize], h[introSize+n*entrySize:]
		out := appendEntry(slices.Clone(headerMagic), n+1, size+uint32(len(v.data)))
		out = appendEntry(append(out, index...), tag, v.kind, size, uint32(v.count))
		return append(append(out, data...), v.data...)
	}
}

// regionTrailer changes a field of the region's trailer.
func regionTrailer(n int, to uint32) func([]byte) []byte {
	return func(h []byte) []byte {
		off := binary.BigEndian.Uint32(entryOf(h, regionImmutable)[8:])
		data := introSize + int(binary.BigEndian.Uint32(h[8:]))*entrySize
		binary.BigEndian.PutUint32(h[data+int(off)+4*n:], to)
		return h
	}
}

// twice makes a header with a tag twice.
func twice(tag uint32, v tagValue) func([]byte) []byte {
	return func(h []byte) []byte {
		p := &header{raw: h}
		if err := p.index(int(binary.BigEndian.Uint32(h[8:])), regionImmutable); err != nil {
			panic(err)
		}
		values := []taggedValue{{tag, v}}
		for t, e := range p.entries {
			values = append(values, taggedValue{t, tagValue{e.kind, int(e.count), e.data}})
		}
		slices.SortStableFunc(values, func(a, b taggedValue) int { return int(a.tag) - int(b.tag) })
		return encodeValues(regionImmutable, values)
	}
}

// What somebody could put together of packages that the vendor signed, and what
// no vendor should sign.
func TestForgeries(t *testing.T) {
	f := newForger(t)
	type tags = map[uint32]tagValue
	first, other := f.first, f.other
	sigOf := func(p parts) tagValue { return binaryTag(detached(t, f.key, p.header)) }
	sum := md5.Sum(first.payload)
	weak := spec{members: someFiles, tags: tags{tagPayloadDigest: stringsTag([]string{hex.EncodeToString(sum[:])}), tagPayloadDigestAlgo: int32Tag(1)}}
	for _, tt := range []struct {
		name string
		data []byte
		want error // nil: accepted
	}{
		{"as it is", first.join(), nil},
		{"no region", f.mangled(withoutRegion), nil},
		{"signature alone", f.resigned(tags{sigDSA: sigOf(first)}), nil},

		{"signature of the other package", f.resigned(tags{sigDSA: sigOf(other)}), keyring.ErrSignature},
		{"signature header of the other package", parts{first.lead, other.sig, first.header, first.payload}.join(), ErrChecksum},
		{"payload of the other package", parts{first.lead, first.sig, first.header, other.payload}.join(), ErrChecksum},
		{"header of the other package", parts{first.lead, first.sig, other.header, first.payload}.join(), ErrChecksum},
		{"header and signatures of the other package", parts{first.lead, other.sig, other.header, first.payload}.join(), ErrChecksum},
		{"no payload", parts{first.lead, first.sig, first.header, nil}.join(), ErrTruncated},
		{"no payload and no size", assemble(first.header, nil, tags{sigDSA: sigOf(first)}), ErrChecksum},
		{"two payloads", append(first.join(), first.payload...), ErrChecksum},
		{"two payloads and no size", assemble(first.header, slices.Concat(first.payload, first.payload), tags{sigDSA: sigOf(first)}), ErrChecksum},
		{"signature of the payload", f.resigned(tags{sigDSA: binaryTag(detached(t, f.key, first.payload))}), keyring.ErrSignature},
		{"signature of the whole file in the header's tag", f.resigned(tags{sigDSA: binaryTag(detached(t, f.key, first.header, first.payload))}), keyring.ErrSignature},
		{"no signature", f.resigned(tags{sigSHA256: stringTag(hexSum(first.header))}), keyring.ErrUnsigned},
		{"signature of another type", f.resigned(tags{sigDSA: stringTag("signature")}), ErrFormat},
		{"an empty signature list", f.resigned(tags{sigOpenPGP: stringsTag([]string{""})}), keyring.ErrUnsigned},
		{"not base64", f.resigned(tags{sigOpenPGP: stringsTag([]string{"!"})}), keyring.ErrSignature},

		{"signed, payload digest removed", f.pkg(spec{members: someFiles, noDigest: true}), keyring.ErrSignature},
		{"signed, payload digest is MD5", f.pkg(weak), keyring.ErrSignature},
		{"signed, payload digest of an unknown kind", f.pkg(spec{members: someFiles, tags: tags{tagPayloadDigestAlgo: int32Tag(99)}}), keyring.ErrSignature},
		{"signed, payload digest is no string", f.pkg(spec{members: someFiles, tags: tags{tagPayloadDigest: int32Tag(1)}}), ErrFormat},
		{"signed, payload digest of another payload", f.pkg(spec{members: someFiles,
			tags: tags{tagPayloadDigest: stringsTag([]string{hexSum([]byte("other"))})}}), ErrChecksum},

		{"size too large", f.resigned(tags{sigDSA: sigOf(first), sigSize: int32Tag(1 << 30)}), ErrTruncated},
		{"size too small", f.resigned(tags{sigDSA: sigOf(first), sigSize: int32Tag(5)}), ErrChecksum},
		{"long size too small", f.resigned(tags{sigDSA: sigOf(first), sigLongSize: {typeInt64, 1, make8(5)}}), ErrChecksum},
		{"header digest of another header", f.resigned(tags{sigDSA: sigOf(first), sigSHA256: stringTag(hexSum(other.header))}), ErrChecksum},

		{"entry outside of the region", f.mangled(dribble(tagPayloadDigest, stringTag("0"))), ErrFormat},
		{"name outside of the region", f.mangled(dribble(tagName, stringTag("glibc"))), ErrFormat},
		{"region covers less", f.mangled(regionTrailer(2, uint32(0xffffffe0))), ErrFormat},
		{"region covers nothing", f.mangled(regionTrailer(2, 0)), ErrFormat},
		{"region covers more than there is", f.mangled(regionTrailer(2, uint32(0xfff00000))), ErrFormat},
		{"region of half entries", f.mangled(regionTrailer(2, uint32(0xffffffe7))), ErrFormat},
		{"trailer with another tag", f.mangled(regionTrailer(0, regionSignatures)), ErrFormat},
		{"trailer with another count", f.mangled(regionTrailer(3, 15)), ErrFormat},
		{"trailer outside of the data", f.mangled(field(regionImmutable, 2, 1<<20)), ErrFormat},
		{"trailer at a negative offset", f.mangled(field(regionImmutable, 2, 0xfffffff0)), ErrFormat},
		{"region of another kind", f.mangled(field(regionImmutable, 0, regionSignatures)), ErrFormat},
		{"a second region", f.mangled(field(tagName, 0, regionImmutable)), ErrFormat},

		{"name twice", f.mangled(twice(tagName, stringTag("glibc"))), ErrFormat},
		{"payload digest twice", f.mangled(twice(tagPayloadDigest, stringTag(hexSum(first.payload)))), ErrFormat},
		{"name of another type", f.mangled(field(tagName, 1, typeBinary)), ErrFormat},
		{"name of no type", f.mangled(field(tagName, 1, 0)), ErrFormat},
		{"name of an unknown type", f.mangled(field(tagName, 1, 10)), ErrFormat},
		{"no value", f.mangled(field(tagName, 3, 0)), ErrFormat},
		{"two names", f.mangled(field(tagName, 3, 2)), ErrFormat},
		{"very many values", f.mangled(field(tagBuildTime, 3, 0xffffffff)), ErrFormat},
		{"values that overlap", f.mangled(field(tagBuildTime, 3, 3)), ErrFormat},
		{"values in another order", f.mangled(field(tagVersion, 2, 0)), ErrFormat},
		{"value behind the data", f.mangled(field(tagName, 2, 1<<30)), ErrFormat},
		{"value at a negative offset", f.mangled(field(tagName, 2, 0xffffffff)), ErrFormat},
		{"value that is not aligned", f.mangled(func(h []byte) []byte {
			e := entryOf(h, tagBuildTime)
			binary.BigEndian.PutUint32(e[8:], binary.BigEndian.Uint32(e[8:])+1)
			return h
		}), ErrFormat},
		{"build time is text", f.pkg(spec{members: someFiles, tags: tags{tagBuildTime: stringTag("now")}}), ErrFormat},
		{"epoch of 64 bits", f.pkg(spec{members: someFiles, tags: tags{tagEpoch: {typeInt64, 1, make8(1 << 40)}}}), ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := content(tt.data, f.ring)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, %v; want %v", got, err, tt.want)
			}
			if err != nil && !refused(err) {
				t.Errorf("%v is no refusal", err)
			}
		})
	}
}

// Duplicates in the signature header could hide a bad signature behind a good one.
func TestSignatureTagTwice(t *testing.T) {
	f := newForger(t)
	good, bad := binaryTag(detached(t, f.key, f.first.header)), binaryTag(detached(t, f.key, f.other.header))
	for _, values := range [][]taggedValue{{{sigDSA, good}, {sigDSA, bad}}, {{sigDSA, bad}, {sigDSA, good}}} {
		for _, region := range []uint32{regionSignatures, 0} {
			sig := encodeValues(region, values)
			sig = append(sig, make([]byte, -len(sig)&7)...)
			if got, err := content(parts{f.first.lead, sig, f.first.header, f.first.payload}.join(), f.ring); !errors.Is(err, ErrFormat) {
				t.Errorf("%v, %v", got, err)
			}
		}
	}
}

func withoutRegion(h []byte) []byte {
	n, size := binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:])
	index, data := h[introSize+entrySize:introSize+n*entrySize], h[introSize+n*entrySize:]
	out := appendEntry(slices.Clone(headerMagic), n-1, size-entrySize)
	return append(append(out, index...), data[:size-entrySize]...)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func make8(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
