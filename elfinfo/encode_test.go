package elfinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample(t testing.TB) *Build {
	t.Helper()
	b := build(t, library{source: smallSource, flags: []string{"-g"}}, "first", "second", "helper", "counter", "nothing")
	b.NEVRA, b.Package, b.Arch, b.Library = "test-1.0-1.x86_64", "test", "x86_64", "/lib64/libtest.so.1"
	return b
}

func encode(t testing.TB, b *Build) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := b.Encode(&w); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

func TestEncodeDecode(t *testing.T) {
	b := sample(t)
	first := encode(t, b)
	got, err := DecodeBuild(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got); diff != "" {
		t.Errorf("record changed (-was +is):\n%s", diff)
	}
	if !bytes.Equal(first, encode(t, got)) {
		t.Error("encoding again gives other bytes")
	}
	if !bytes.Contains(first, []byte("\n \"format\": 1,\n")) {
		t.Errorf("starts %.60q", first)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(t, sample(t))
	edit := func(f func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		f(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	set := func(key string, value any) []byte { return edit(func(m map[string]any) { m[key] = value }) }
	first := func(f func(m map[string]any)) []byte {
		return edit(func(m map[string]any) { f(m["functions"].(map[string]any)["first"].([]any)[0].(map[string]any)) })
	}
	for _, tc := range []struct {
		name string
		data []byte
		text string
	}{
		{name: "nothing", data: nil, text: "unexpected end"},
		{name: "half", data: good[:len(good)/2], text: "unexpected"},
		{name: "two records", data: append(bytes.Clone(good), good...), text: "something follows the record"},
		{name: "newer format", data: set("format", 2), text: "record format 2, this program reads 1"},
		{name: "no format", data: edit(func(m map[string]any) { delete(m, "format") }), text: "record format 0"},
		{name: "newer facts", data: set("facts", RecordFacts+1), text: "this program knows"},
		{name: "unknown field", data: set("extra", 1), text: `unknown field "extra"`},
		{name: "no build-id", data: set("build_id", ""), text: "build-id"},
		{name: "build-id not hexadecimal", data: set("build_id", "../../x"), text: "build-id"},
		{name: "upper-case build-id", data: set("build_id", "ABCD"), text: "build-id"},
		{name: "soname with a slash", data: set("soname", "../libc.so.6"), text: "name"},
		{name: "NEVRA with a slash", data: set("nevra", "a/b"), text: "name"},
		{name: "relative library", data: set("library", "lib64/libc.so.6"), text: "library path"},
		{name: "library outside", data: set("library", "/lib64/../../etc"), text: "library path"},
		{name: "short digest", data: set("library_sha256", "abcd"), text: "SHA-256"},
		{name: "both absent and defined", data: set("absent", []string{"first"}), text: "absent"},
		{name: "function without entries", data: edit(func(m map[string]any) { m["functions"].(map[string]any)["x"] = []any{} }), text: `function "x"`},
		{name: "name with a newline", data: edit(func(m map[string]any) {
			m["functions"].(map[string]any)["x\ny"] = m["functions"].(map[string]any)["first"]
		}), text: "function"},
		{name: "size differs", data: first(func(f map[string]any) { f["size"] = 1 }), text: "its size is 1"},
		{name: "bytes differ", data: first(func(f map[string]any) { f["sha256"] = strings.Repeat("0", 64) }), text: "SHA-256"},
		{name: "entry of an unknown kind", data: first(func(f map[string]any) { f["entry"] = map[string]any{"kind": "odd", "offset": 0, "length": 5} }), text: "entry"},
		{name: "entry beyond the end", data: first(func(f map[string]any) { f["entry"] = map[string]any{"kind": "stock", "offset": 0, "length": 9999} }), text: "entry"},
		{name: "none without reason", data: first(func(f map[string]any) { f["entry"] = map[string]any{"kind": "none", "offset": 0, "length": 0} }), text: "entry"},
		{name: "source with a slash", data: first(func(f map[string]any) { f["source"] = "../a.c" }), text: "source"},
		{name: "symbol of an unknown kind", data: edit(func(m map[string]any) { m["symbols"].([]any)[0].(map[string]any)["kind"] = "odd" }), text: "kind"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := DecodeBuild(bytes.NewReader(tc.data))
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %q", err, tc.text)
			}
		})
	}
}

// What an older program left out would look like what the build lacks.
func TestOldRecordMustBeMadeAgain(t *testing.T) {
	var m map[string]any
	if err := json.Unmarshal(encode(t, sample(t)), &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "facts")
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeBuild(bytes.NewReader(data)); !errors.Is(err, ErrNotRecorded) || !strings.Contains(err.Error(), `run "lpbuild download" again`) {
		t.Errorf("got %v", err)
	}
}

func TestLookupErrors(t *testing.T) {
	b := sample(t)
	for _, tc := range []struct {
		name string
		want error
		text string
	}{
		{name: "nothing", want: ErrMissing, text: `test-1.0-1.x86_64: function "nothing": not defined`},
		{name: "other", want: ErrNotRecorded, text: `run "lpbuild download"`},
		{name: "counter", want: ErrMissing, text: "it is a variable"},
		{name: "first@b.c", want: ErrMissing, text: "there is first@a.c"},
	} {
		if _, err := b.Function(tc.name); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: got %v, want %v with %q", tc.name, err, tc.want, tc.text)
		}
	}
	if _, err := b.Variable("first"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "it is a function") {
		t.Errorf("got %v", err)
	}
	if err := function(t, b, "first@a.c").Entry.Err(); err != nil {
		t.Errorf("first: %v", err)
	}
	if err := none("is odd").Err(); !errors.Is(err, ErrNotLivepatchable) || !strings.Contains(err.Error(), "is odd") {
		t.Errorf("got %v", err)
	}
}
