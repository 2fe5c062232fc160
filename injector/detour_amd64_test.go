package injector

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/livepatch"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Instructions moved from 0x10000 to 0x30000 must refer to what they referred
// to, and be followed by a jump behind the original ones.
func TestRelocate(t *testing.T) {
	const from, to = 0x10000, 0x30000
	for _, c := range []struct {
		name, code, want string
		moves            []move
	}{
		{"push push push", "4157 4156 4155", "4157 4156 4155 e9fbfffdff", []move{{2, to + 2}, {4, to + 4}}},
		{"mov 0x100(%rip),%rax", "488b0500010000", "488b050001feff e9fbfffdff", nil},
		{"vmovsd 0x100(%rip),%xmm0", "c5fb100500010000", "c5fb10050001feff e9fbfffdff", nil},
		{"vextractf128 $1,%ymm0,0x100(%rip)", "c4e37d19050001000001", "c4e37d19050001feff01 e9fbfffdff", nil},
		{"vzeroupper; mov %esi,%eax", "c5f877 89f0", "c5f877 89f0 e9fbfffdff", []move{{3, to + 3}}},
		{"test; js, as glibc 2.43's malloc", "4885ff 7810", "4885ff 0f880c00feff e9f7fffdff", []move{{3, to + 3}}},
		{"jne, near", "0f8500010000", "0f850001feff e9fbfffdff", nil},
		{"sub $8,%rsp; call", "4883ec08 e800010000",
			"4883ec08488d6424f8c7042409000100c744240400000000e9ec00feff e9e7fffdff",
			[]move{{4, to + 4}}},
		{"nop; jmp, short", "9090909090 eb10", "9090909090 e90d00feff e9f8fffdff",
			[]move{{1, to + 1}, {2, to + 2}, {3, to + 3}, {4, to + 4}, {5, to + 5}}},
	} {
		got, moves, err := relocate(unhex(t, c.code), from, to)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := unhex(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", c.name, got, want)
		}
		if diff := cmp.Diff(c.moves, moves); diff != "" {
			t.Errorf("%s: moves (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRelocateRefusesWhatItCannotMove(t *testing.T) {
	for name, code := range map[string]string{
		"call *%rax":   "ffd0 909090",
		"call, 16-bit": "66e800010000",
		"loop":         "e2fe 909090",
		"jrcxz":        "e310 909090",
		"prefix alone": "f3",
		"16-bit jump":  "66e91000 9090",
		"no code":      "06 06 06 06 06",
		"cut off":      "488b0500",
	} {
		_, _, err := relocate(unhex(t, code), 0x10000, 0x30000)
		var b blocked
		if !errors.As(err, &b) {
			t.Errorf("%s: %v, want it blocked", name, err)
		}
	}
	if _, _, err := relocate(unhex(t, "488b0500010000"), 0x10000, 0x10000+1<<32); !errors.Is(err, errFar) {
		t.Errorf("4 GiB away: %v, want %v", err, errFar)
	}
}

// A container that is wrong about the entry must not decide what is written.
func TestContainerThatLiesAboutTheEntry(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "plain")
	c := f.container(t, 2, "answer")
	c.Info.Functions[0].Length++
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "detoured") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.says(old)
}

func TestShadowStackOfStatus(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nx86_Thread_features:\tshstk wrss \nx86_Thread_features_locked:\t\n": true,
		"Name:\tx\nx86_Thread_features:\t\nx86_Thread_features_locked:\tshstk \n":      false,
		"Name:\tshstk\n": false,
	} {
		if hasShadowStack([]byte(status)) != want {
			t.Errorf("%q: want %v", status, want)
		}
	}
}
