package rpmmd

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// From rpm's own test suite (tests/rpmvercmp.at), and what glibc's packages
// have looked like.
var versionOrders = []struct {
	a, b string
	want int
}{
	{"1.0", "1.0", 0}, {"1.0", "2.0", -1}, {"2.0.1", "2.0.1a", -1}, {"5.5p1", "5.5p2", -1},
	{"5.5p1", "5.5p10", -1}, {"10xyz", "10.1xyz", -1}, {"xyz10", "xyz10.1", -1}, {"xyz.4", "8", -1},
	{"xyz.4", "2", -1}, {"5.5p2", "5.6p1", -1}, {"5.6p1", "6.5p1", -1}, {"6.0.rc1", "6.0", 1},
	{"10b2", "10a1", 1}, {"1.0aa", "1.0aa", 0}, {"10.0001", "10.1", 0}, {"10.0001", "10.0039", -1},
	{"4.999.9", "5.0", -1}, {"20101121", "20101122", -1}, {"2_0", "2.0", 0}, {"2_0", "2_0", 0},
	{"a+", "a_", 0}, {"+a", "_a", 0}, {"+_", "_+", 0}, {"+", "_", 0},
	{"1.0~rc1", "1.0", -1}, {"1.0~rc1", "1.0~rc2", -1}, {"1.0~rc1~git123", "1.0~rc1", -1},
	{"1.0^", "1.0", 1}, {"1.0^git1", "1.0^git2", -1}, {"1.0^git1", "1.01", -1},
	{"1.0^20160101", "1.0.1", -1}, {"1.0^20160101^git1", "1.0^20160102", -1},
	{"1.0~rc1^git1", "1.0~rc1", 1}, {"1.0^git1~pre", "1.0^git1", -1},
	{"1b.fc17", "1b.fc17", 0}, {"1b.fc17", "1.fc17", -1}, {"1g.fc17", "1.fc17", 1},
	{"150300.63.1", "150300.41.1", 1}, {"2.31", "2.4", 1}, {"", "1", -1}, {"", "~", 1}, {"", "^", -1}, {"", "", 0},
}

func TestCompareVersions(t *testing.T) {
	for _, tt := range versionOrders {
		if got := CompareVersions(tt.a, tt.b); got != tt.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := CompareVersions(tt.b, tt.a); got != -tt.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

// The table's answers are rpm's.
func TestCompareVersionsAsRPM(t *testing.T) {
	need(t, "rpm")
	var macro strings.Builder
	for _, tt := range versionOrders {
		fmt.Fprintf(&macro, "local ok, v = pcall(rpm.vercmp, %q, %q); print((ok and v or 'refused')..' ') ", tt.a, tt.b)
	}
	out, err := exec.Command("rpm", "--eval", "%{lua: "+macro.String()+"}").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := strings.Fields(string(out))
	if len(got) != len(versionOrders) {
		t.Fatalf("%d answers to %d questions: %s", len(got), len(versionOrders), out)
	}
	compared := 0
	for i, tt := range versionOrders {
		if got[i] == "refused" { // it wants a whole EVR: no "" and no lone "+"
			continue
		}
		compared++
		if got[i] != fmt.Sprint(tt.want) {
			t.Errorf("rpm.vercmp(%q, %q) = %s, the table has %d", tt.a, tt.b, got[i], tt.want)
		}
	}
	if compared < len(versionOrders)*3/4 {
		t.Errorf("rpm compared %d of %d", compared, len(versionOrders))
	}
}

func TestCompare(t *testing.T) {
	old := rpmfile.NEVRA{Version: "2.31", Release: "9"}
	for name, newer := range map[string]rpmfile.NEVRA{
		"epoch":   {Epoch: 1, Version: "1", Release: "1"},
		"version": {Version: "2.36", Release: "1"},
		"release": {Version: "2.31", Release: "10"},
	} {
		if Compare(old, newer) != -1 || Compare(newer, old) != 1 || Compare(newer, newer) != 0 {
			t.Errorf("%s does not decide", name)
		}
	}
}

// FuzzCompareVersions holds the laws of an order that sorting relies on.
func FuzzCompareVersions(f *testing.F) {
	for _, tt := range versionOrders {
		f.Add(tt.a, tt.b)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if CompareVersions(a, a) != 0 {
			t.Errorf("%q is not equal to itself", a)
		}
		if CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Errorf("%q and %q: order depends on the order", a, b)
		}
	})
}
