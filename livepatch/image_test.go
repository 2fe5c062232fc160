package livepatch

import (
	"encoding/hex"
	"testing"
)

func TestFindBuildID(t *testing.T) {
	const (
		id    = "04000000 04000000 03000000 474e5500 01020304"
		abi   = "04000000 10000000 01000000 474e5500 00000000 03000000 02000000 00000000"
		other = "04000000 04000000 03000000 48555200 05060708"
		odd   = "05000000 02000000 01000000 4142434400000000 99980000"
	)
	for _, tt := range []struct {
		name, notes string
		align       uint64
		want        string
	}{
		{"alone", id, 4, "01020304"},
		{"behind another", abi + id, 4, "01020304"},
		{"behind another owner's", other + id, 4, "01020304"},
		{"behind padded name and descriptor", odd + id, 4, "01020304"},
		{"in a segment aligned to 8", "04000000 04000000 01000000 474e5500 99999999 00000000" + id, 8, "01020304"},
		{"none", abi, 4, ""},
		{"empty", "04000000 00000000 03000000 474e5500", 4, ""},
		{"name too long", "ffffffff 04000000 03000000 474e5500 01020304", 4, ""},
		{"descriptor too long", "04000000 ffffffff 03000000 474e5500 01020304", 4, ""},
		{"truncated", "04000000 04000000 03000000 474e5500 0102", 4, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := hex.EncodeToString(findBuildID(unhex(t, tt.notes), tt.align)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
