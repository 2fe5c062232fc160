package rpmfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// member is one file of a hand-made package, as no builder would write it.
type member struct {
	name    string // in the archive
	listed  string // in the header's file list; name if empty
	mode    uint32
	data    string
	link    string // header's link target; data if empty and a symlink
	ino     uint32
	nlink   uint32
	size    int // header's size; len(data) if 0
	strip   bool
	absent  bool // in the header only
	flags   uint32
	cpioLen int // size in the archive, if not len(data)
}

// spec describes a hand-made package; the zero value of a field is honest.
type spec struct {
	members    []member
	nevra      NEVRA
	compressor string
	compress   func([]byte) []byte
	noDigest   bool
	tags       map[uint32]tagValue
	mangle     func(header []byte) []byte // before it is signed
	sign       func(header, payload []byte) map[uint32]tagValue
}

type tagValue struct {
	kind  uint32
	count int
	data  []byte
}

func stringTag(s string) tagValue { return tagValue{typeString, 1, append([]byte(s), 0)} }

func stringsTag(v []string) tagValue {
	return tagValue{typeStringArray, len(v), []byte(strings.Join(v, "\x00") + "\x00")}
}

func binaryTag(b []byte) tagValue { return tagValue{typeBinary, len(b), b} }

func int32Tag(v ...uint32) tagValue {
	var b []byte
	for _, n := range v {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return tagValue{typeInt32, len(v), b}
}

func int16Tag(v ...uint32) tagValue {
	var b []byte
	for _, n := range v {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return tagValue{typeInt16, len(v), b}
}

// encodeHeader writes a tag store, with a region around it unless region is 0.
func encodeHeader(region uint32, tags map[uint32]tagValue) []byte {
	var ids []uint32
	for id := range tags {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var values []taggedValue
	for _, id := range ids {
		values = append(values, taggedValue{id, tags[id]})
	}
	return encodeValues(region, values)
}

type taggedValue struct {
	tag uint32
	tagValue
}

// encodeValues is encodeHeader for values in any order, also twice the same tag.
func encodeValues(region uint32, values []taggedValue) []byte {
	var index, data []byte
	for _, v := range values {
		for len(data)%8 != 0 {
			data = append(data, 0)
		}
		index = appendEntry(index, v.tag, v.kind, uint32(len(data)), uint32(v.count))
		data = append(data, v.data...)
	}
	if region != 0 {
		index = append(appendEntry(nil, region, typeBinary, uint32(len(data)), entrySize), index...)
		data = appendEntry(data, region, typeBinary, uint32(-len(index)), entrySize)
	}
	out := binary.BigEndian.AppendUint32(slices.Clone(headerMagic), uint32(len(index)/entrySize))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(append(out, index...), data...)
}

func appendEntry(b []byte, fields ...uint32) []byte {
	for _, n := range fields {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func cpioArchive(members []member) []byte {
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	entry := func(m member) {
		size := len(m.data)
		if m.cpioLen != 0 {
			size = m.cpioLen
		}
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			m.ino, m.mode, 0, 0, max(1, m.nlink), 0, size, 0, 0, 0, 0, len(m.name)+1, 0, m.name)
		pad()
		b.WriteString(m.data)
		pad()
	}
	for i, m := range members {
		switch {
		case m.absent:
		case m.strip:
			fmt.Fprintf(&b, "07070X%08x", i)
			pad()
			b.WriteString(m.data)
			pad()
		default:
			entry(m)
		}
	}
	entry(member{name: trailer})
	return b.Bytes()
}

func (s spec) build(t testing.TB) []byte {
	t.Helper()
	payload := cpioArchive(s.members)
	if s.compress != nil {
		payload = s.compress(payload)
	}
	if s.nevra == (NEVRA{}) {
		s.nevra = NEVRA{Name: "libx", Version: "1.0", Release: "1", Arch: "x86_64"}
	}
	header := encodeHeader(regionImmutable, s.headerTags(payload))
	if s.mangle != nil {
		header = s.mangle(header)
	}
	return assemble(header, payload, s.signatureTags(header, payload))
}

func (s spec) signatureTags(header, payload []byte) map[uint32]tagValue {
	sum := sha256.Sum256(header)
	tags := map[uint32]tagValue{
		sigSHA256: stringTag(hex.EncodeToString(sum[:])),
		sigSize:   int32Tag(uint32(len(header) + len(payload))),
	}
	if s.sign != nil {
		for tag, v := range s.sign(header, payload) {
			tags[tag] = v
		}
	}
	return tags
}

// assemble puts a package together.
func assemble(header, payload []byte, sigTags map[uint32]tagValue) []byte {
	lead := make([]byte, leadSize)
	copy(lead, []byte{0xed, 0xab, 0xee, 0xdb, 3})
	lead[79] = 5 // a signature header follows
	out := append(lead, encodeHeader(regionSignatures, sigTags)...)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return append(append(out, header...), payload...)
}

func (s spec) headerTags(payload []byte) map[uint32]tagValue {
	sum := sha256.Sum256(payload)
	tags := map[uint32]tagValue{
		tagName: stringTag(s.nevra.Name), tagVersion: stringTag(s.nevra.Version),
		tagRelease: stringTag(s.nevra.Release), tagArch: stringTag(s.nevra.Arch),
		tagBuildTime: int32Tag(1700000000), tagPayloadFormat: stringTag("cpio"),
		tagPayloadCompressor: stringTag(s.compressor),
		tagPayloadDigest:     stringsTag([]string{hex.EncodeToString(sum[:])}),
		tagPayloadDigestAlgo: int32Tag(8),
	}
	if s.compressor == "" {
		delete(tags, tagPayloadCompressor)
	}
	if s.noDigest {
		delete(tags, tagPayloadDigest)
		delete(tags, tagPayloadDigestAlgo)
	}
	var bases, dirs, links []string
	var index, sizes, modes, inodes, devices, flags []uint32
	for i, m := range s.members {
		listed := m.listed
		if listed == "" {
			listed = "/" + strings.TrimPrefix(strings.TrimPrefix(m.name, "."), "/")
		}
		dir, base := path.Split(listed)
		bases, dirs, index = append(bases, base), append(dirs, dir), append(index, uint32(i))
		size := m.size
		if size == 0 {
			size = len(m.data)
		}
		sizes, modes, inodes, devices = append(sizes, uint32(size)), append(modes, m.mode), append(inodes, m.ino), append(devices, 1)
		link := m.link
		if link == "" && m.mode&modeType == modeSymlink {
			link = m.data
		}
		links, flags = append(links, link), append(flags, m.flags)
	}
	if len(bases) > 0 {
		tags[tagBasenames], tags[tagDirnames], tags[tagDirIndexes] = stringsTag(bases), stringsTag(dirs), int32Tag(index...)
		tags[tagFileSizes], tags[tagFileModes], tags[tagFileLinkTos] = int32Tag(sizes...), int16Tag(modes...), stringsTag(links)
		tags[tagFileInodes], tags[tagFileDevices], tags[tagFileFlags] = int32Tag(inodes...), int32Tag(devices...), int32Tag(flags...)
	}
	for tag, v := range s.tags {
		tags[tag] = v
	}
	return tags
}

func open(t testing.TB, data []byte) *Package {
	t.Helper()
	p, err := New("test.rpm", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newKey makes a signing key and the keyring that trusts it alone.
func newKey(t testing.TB, name string, algorithm packet.PublicKeyAlgorithm) (*openpgp.Entity, *keyring.Keyring) {
	t.Helper()
	return configuredKey(t, name, &packet.Config{Algorithm: algorithm, RSABits: 2048})
}

func configuredKey(t testing.TB, name string, config *packet.Config) (*openpgp.Entity, *keyring.Keyring) {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	k, err := keyring.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return e, k
}

func detached(t testing.TB, e *openpgp.Entity, data ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.DetachSign(&b, e, bytes.NewReader(bytes.Join(data, nil)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
