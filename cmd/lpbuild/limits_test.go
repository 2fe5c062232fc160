package main

import "testing"

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "500K": 500 << 10, "5M": 5 << 20, "2G": 2 << 30, "0": 0, "": 0, "-1": 0, "5 M": 0, "5MB": 0, "99999999999G": 0} {
		if got, ok := parseRate(text); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, ok, want)
		}
	}
}
