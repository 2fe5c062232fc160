package livepatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func encodeInfo(t testing.TB, i *Info) []byte {
	t.Helper()
	b, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frame puts a header around a payload, with the right length and checksum.
func frame(format uint32, payload string) []byte {
	b := []byte("LPBUILD\x00")
	b = binary.LittleEndian.AppendUint32(b, format)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	sum := sha256.Sum256([]byte(payload))
	return append(append(b, sum[:]...), payload...)
}

// The bytes of format 1 are released: a reader of every later version must
// read this very section.
const frozenInfo = `{"format":1,"set":"libtarget-livepatches","set_version":"0.1","patch":"value",` +
	`"nevras":["libtarget1-1.0-1.x86_64","libtarget1-1.0-2.x86_64"],"library":"/lib64/libtarget.so.1",` +
	`"soname":"libtarget.so.1","build_id":"0102030405060708090a0b0c0d0e0f1011121314","functions":[` +
	`{"old":"value","new":"value_lp","address":4352,"size":64,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","entry":"stock","offset":0,"length":6},` +
	`{"old":"other@second.c","new":"other_lp","address":4480,"size":32,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","entry":"padded","offset":4,"length":2,"calls_back":true}],` +
	`"toolchain":"gcc 12.2.0, GNU ld 2.40"}`

func TestInfoBytesAreFrozen(t *testing.T) {
	want := frame(1, frozenInfo)
	if got := encodeInfo(t, testInfo()); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	got, err := DecodeInfo(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(testInfo(), got); diff != "" {
		t.Error(diff)
	}
}

// frozenSet is the same of a container that holds two live patches.
var frozenSet = strings.NewReplacer(
	`"patch":"value"`, `"patch":"value,other"`,
	`"functions":[`, `"patches":[{"name":"value","references":["CVE-2026-0001"]},{"name":"other"}],"functions":[`,
	`"length":6}`, `"length":6,"patch":"value"}`,
	`"calls_back":true}`, `"calls_back":true,"patch":"other"}`,
).Replace(frozenInfo)

func testSet() *Info {
	i := testInfo()
	i.Patch = "value,other"
	i.Patches = []InfoPatch{{Name: "value", References: []string{"CVE-2026-0001"}}, {Name: "other"}}
	i.Functions[0].Patch, i.Functions[1].Patch = "value", "other"
	return i
}

func TestBytesOfASetAreFrozen(t *testing.T) {
	want := frame(1, frozenSet)
	if got := encodeInfo(t, testSet()); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	got, err := DecodeInfo(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(testSet(), got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefusesPatches(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"function of an unknown patch", `"length":6,"patch":"value"`, `"length":6,"patch":"val"`, `unknown patch "val"`},
		{"no name", `{"name":"other"}`, `{"name":""}`, `patch 1: name ""`},
		{"one twice", `{"name":"other"}`, `{"name":"value"}`, `patch 1: name "value"`},
		{"control character", `["CVE-2026-0001"]`, `["CVE\n"]`, "patch 0"},
		{"empty list", `"patches":[{"name":"value","references":["CVE-2026-0001"]},{"name":"other"}]`, `"patches":[]`, "unknown patch"},
		{"empty references", `["CVE-2026-0001"]`, `[]`, "canonical"},
	} {
		if !strings.Contains(frozenSet, tt.old) {
			t.Fatalf("%q is not in the section", tt.old)
		}
		_, err := DecodeInfo(frame(1, strings.Replace(frozenSet, tt.old, tt.new, 1)))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestDecodeInfoRefuses(t *testing.T) {
	good := frame(1, frozenInfo)
	change := func(off int, b byte) []byte {
		data := bytes.Clone(good)
		data[off] = b
		return data
	}
	edit := func(old, new string) []byte {
		if !strings.Contains(frozenInfo, old) {
			t.Fatalf("%q is not in the section", old)
		}
		return frame(1, strings.Replace(frozenInfo, old, new, 1))
	}
	for _, tt := range []struct {
		name string
		data []byte
		err  error
		want string
	}{
		{"magic", change(0, 'l'), ErrCorrupt, "bad magic"},
		{"newer format", change(8, InfoFormat+1), ErrNewerFormat, "format 2"},
		{"newer format, other layout", append([]byte("LPBUILD\x00"), 9, 0, 0, 0), ErrNewerFormat, "format 9"},
		{"format 0", frame(0, strings.Replace(frozenInfo, `"format":1`, `"format":0`, 1)), ErrCorrupt, "format 0"},
		{"formats differ", edit(`"format":1`, `"format":0`), ErrCorrupt, "1 in the header, 0 in the payload"},
		{"payload length", change(15, 0xff), ErrCorrupt, "at most"},
		{"checksum", change(16, good[16]+1), ErrCorrupt, "checksum differs"},
		{"changed payload", change(60, 'X'), ErrCorrupt, "checksum differs"},
		{"trailing byte", append(bytes.Clone(good), 0), ErrCorrupt, "1 bytes too many"},
		{"not JSON", frame(1, "{"), ErrCorrupt, "payload"},
		{"unknown field", edit(`{"format":1`, `{"format":1,"more":1`), ErrCorrupt, "canonical"},
		{"field twice", edit(`{"format":1`, `{"format":1,"format":1`), ErrCorrupt, "canonical"},
		{"list null", edit(`["libtarget1-1.0-1.x86_64","libtarget1-1.0-2.x86_64"]`, `null`), ErrCorrupt, "canonical"},
		{"soname with folder", edit(`"soname":"`, `"soname":"/`), ErrCorrupt, "soname"},
		{"build-id upper case", edit(`0a0b0c`, `0A0B0C`), ErrCorrupt, "build-id"},
		{"build-id odd", edit(`0a0b0c`, `0a0b0`), ErrCorrupt, "build-id"},
		{"NEVRAs not sorted", edit(`1.0-1.x86_64`, `1.0-3.x86_64`), ErrCorrupt, "not sorted"},
		{"NEVRA twice", edit(`1.0-1.x86_64`, `1.0-2.x86_64`), ErrCorrupt, "twice"},
		{"line feed", edit(`"set":"`, `"set":"\n`), ErrCorrupt, "control character"},
		{"checksum of function short", edit(`e3b0c442`, `e3b0c4`), ErrCorrupt, "sha256"},
		{"unknown entry", edit(`"stock"`, `"none"`), ErrCorrupt, `"none" entry`},
		{"stock shorter than a jump", edit(`"length":6`, `"length":4`), ErrCorrupt, "entry of 4 bytes"},
		{"padded length", edit(`"length":2`, `"length":5`), ErrCorrupt, "entry of 5 bytes"},
		{"negative length", edit(`"length":6`, `"length":-6`), ErrCorrupt, "entry of -6 bytes"},
		{"offset", edit(`"offset":4`, `"offset":3`), ErrCorrupt, "offset 3"},
		{"entry longer than function", edit(`"size":64`, `"size":5`), ErrCorrupt, "entry of 6 bytes"},
		{"function of 0 bytes", edit(`"size":64`, `"size":0`), ErrCorrupt, "0 bytes"},
		{"function wraps around", edit(`"address":4352`, `"address":18446744073709551600`), ErrCorrupt, "64 bytes at"},
		{"bad name", edit(`"old":"value"`, `"old":"val ue"`), ErrCorrupt, "in a name"},
		{"bad source", edit(`@second.c`, `@a/second.c`), ErrCorrupt, "source file"},
		{"no replacement", edit(`"new":"value_lp"`, `"new":""`), ErrCorrupt, "name missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeInfo(tt.data)
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.err, tt.want)
			}
		})
	}
}

func TestInfoTruncatedAtEveryByte(t *testing.T) {
	data := encodeInfo(t, testInfo())
	for n := range data {
		if _, err := DecodeInfo(data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

func TestEncodeInfoRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Info)
		want   string
	}{
		{"format", func(i *Info) { i.Format = 2 }, "format 2"},
		{"bad UTF-8", func(i *Info) { i.Comments = []string{"\xff"} }, "bad UTF-8"},
		{"long comment", func(i *Info) { i.Comments = []string{strings.Repeat("x", maxLine+1)} }, "at most"},
		{"too much", func(i *Info) {
			for range 300 {
				i.Comments = append(i.Comments, strings.Repeat("x", maxLine))
			}
		}, "at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := testInfo()
			tt.change(i)
			if _, err := i.Encode(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
