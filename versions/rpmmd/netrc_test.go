package rpmmd

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseNetrc(t *testing.T) {
	got, err := parseNetrc([]byte("# comment machine x\nmachine one login a password b account c\n\nmacdef init\ncd /pub\nmachine no\n\n" +
		"machine two\n\tlogin \"a b\" # trailing\n\tpassword \"\\\"\\\\\\n\"\ndefault login #d password #e\n"))
	want := []netrcEntry{{"one", "a", "b"}, {"two", "a b", "\"\\\n"}, {"", "#d", "#e"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, src := range []string{"login a", "machine", "machine x login", `machine x login "a`, "machine x pasword y", "machine \"\" login x", "machine x \"login", strings.Repeat("#", maxNetrc+1)} {
		if got, err := parseNetrc([]byte(src)); err == nil || got != nil {
			t.Errorf("%.20q: %q", src, got)
		}
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add([]byte("machine one login a password b\ndefault login c password \"d\\n\"\nmacdef x\ny\n\n# z"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseNetrc(data)
		if err != nil && len(entries) > 0 || len(entries) > maxNetrcEntries {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	})
}
