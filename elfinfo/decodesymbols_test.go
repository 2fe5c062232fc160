package elfinfo

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// symbolRecord is a record with symbols of every kind of field.
func symbolRecord(t testing.TB) (*Build, []byte) {
	t.Helper()
	b := &Build{
		Format: RecordFormat, Facts: RecordFacts, NEVRA: "n-1-1.x86_64", Soname: "libn.so.1", BuildID: "0102030405",
		Symbols: []Symbol{
			{Name: "a", Version: "N_1", Default: true, Kind: "func", Binding: "global", Address: 1 << 63, Size: 12},
			{Name: "b", Kind: "object", Binding: "weak", Absolute: true},
			{Name: "schön", Kind: "tls", Binding: "global"},
			{Name: `quo"te\`, Version: "<&>", Kind: "ifunc", Binding: "unique"},
			{Name: "a", Kind: "notype", Binding: "global"},
		},
		Imports: []Symbol{{Name: "malloc", Version: "V", Library: "libc.so.6", Kind: "func", Binding: "global", Undefined: true}},
	}
	var out bytes.Buffer
	if err := b.Encode(&out); err != nil {
		t.Fatal(err)
	}
	return b, out.Bytes()
}

// TestSymbolsInAnyLayout: the lines that Encode writes and any other JSON of
// the same record are read alike.
func TestSymbolsInAnyLayout(t *testing.T) {
	t.Parallel()
	want, encoded := symbolRecord(t)
	var compact, wide bytes.Buffer
	if err := json.Compact(&compact, encoded); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&wide, encoded, "", "\t"); err != nil {
		t.Fatal(err)
	}
	plain := *want
	plain.Symbols = append(want.Symbols[:2:2], want.Symbols[4])
	var fast bytes.Buffer
	if err := plain.Encode(&fast); err != nil {
		t.Fatal(err)
	}
	rest, lists, ok := cutSymbols(fast.Bytes())
	if !ok || bytes.Contains(rest, []byte("malloc")) {
		t.Fatalf("the lists of Encode are not found in\n%s", fast.Bytes())
	}
	if symbols, ok := parseSymbols(lists.symbols, nil); !ok || len(symbols) != 3 {
		t.Fatalf("the lines of Encode are not read: %v", symbols)
	}
	for name, text := range map[string][]byte{"encoded": encoded, "compact": compact.Bytes(), "indented": wide.Bytes()} {
		got, err := DecodeRecord(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Symbols, got.Symbols) + cmp.Diff(want.Imports, got.Imports); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		onlyA := func(name string) bool { return name == "a" || name == "malloc" }
		if got, err = DecodeBrief(text); err != nil || len(got.Symbols)+len(got.Imports) > 0 || got.NEVRA != want.NEVRA {
			t.Errorf("%s, in brief: %+v, %v", name, got, err)
		}
		symbols, imports, err := DecodeSymbols(text, onlyA)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Symbol{want.Symbols[0], want.Symbols[4]}, symbols) + cmp.Diff(want.Imports, imports); diff != "" {
			t.Errorf("%s, wanted ones: %s", name, diff)
		}
		if got, err = DecodeRecord(text, onlyA); err != nil || len(got.Symbols) != 2 || len(got.Imports) != 1 {
			t.Errorf("%s, wanted ones: %+v, %v", name, got, err)
		}
	}
}

func TestSymbolsThatAreWrong(t *testing.T) {
	t.Parallel()
	_, encoded := symbolRecord(t)
	for _, tt := range []struct{ name, from, to string }{
		{"unknown field", `"kind": "func"`, `"kin": "func"`},
		{"unknown kind", `"kind": "func"`, `"kind": "fun"`},
		{"number too large", "9223372036854775808", "19223372036854775808"},
		{"negative number", `"size": 12`, `"size": -12`},
		{"number as text", `"size": 12`, `"size": "12"`},
		{"text for true", `"default": true`, `"default": "true"`},
		{"no name", `"name": "a"`, `"name": ""`},
		{"name with a control character", `"name": "a"`, `"name": "a\u0007"`},
		{"cut off", `  {` + "\n" + `   "name": "b"`, ""},
		{"a brace too many", "  },\n", "  }},\n"},
		{"not JSON behind a symbol", `"size": 12`, `"size": 12 12`},
	} {
		text := strings.Replace(string(encoded), tt.from, tt.to, 1)
		if text == string(encoded) {
			t.Fatalf("%q is not in the record", tt.from)
		}
		if b, err := DecodeRecord([]byte(text), nil); err == nil {
			t.Errorf("%s: accepted as %+v", tt.name, b.Symbols)
		}
		if symbols, _, err := DecodeSymbols([]byte(text), func(string) bool { return true }); err == nil {
			t.Errorf("%s: accepted as %+v", tt.name, symbols)
		}
	}
}

// FuzzSymbolLines: whatever the fast way accepts, encoding/json reads alike.
func FuzzSymbolLines(f *testing.F) {
	_, encoded := symbolRecord(f)
	_, lists, _ := cutSymbols(encoded)
	f.Add(lists.symbols)
	f.Add([]byte("\n  {\n   \"name\": \"a\",\n   \"kind\": \"func\",\n   \"binding\": \"weak\"\n  }"))
	f.Add([]byte("\n  {\n   \"name\": \"a\"\n  },\n  {\n   \"name\": \"b\"\n  }"))
	f.Fuzz(func(t *testing.T, list []byte) {
		fast, ok := parseSymbols(list, nil)
		if !ok {
			return
		}
		var slow []Symbol
		if err := json.Unmarshal(append(append([]byte("["), list...), ']'), &slow); err != nil {
			t.Skip() // commas are not looked at: what is read is the same
		}
		if diff := cmp.Diff(fast, slow); diff != "" && len(fast)+len(slow) > 0 {
			t.Error(diff)
		}
	})
}
