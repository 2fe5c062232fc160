package main

import (
	"regexp"
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/versions"
)

// limits reads --rate and --connections.
func limits(c *urfave.Context) (versions.Limits, error) {
	var l versions.Limits
	if c.IsSet("rate") {
		rate, ok := parseRate(c.String("rate"))
		if !ok {
			return l, cli.Usagef("--rate %q: bytes a second, such as 500K or 5M", c.String("rate"))
		}
		l.BytesPerSecond = rate
	}
	if c.IsSet("connections") {
		if l.Connections = c.Int("connections"); l.Connections < 1 {
			return l, cli.Usagef("--connections %d: at least one", l.Connections)
		}
	}
	return l, nil
}

var rateShape = regexp.MustCompile(`^([0-9]{1,9})([KMG]?)$`)

// parseRate reads a positive number of bytes, with K, M or G for powers of 1024.
func parseRate(text string) (int64, bool) {
	m := rateShape.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	for range map[string]int{"": 0, "K": 1, "M": 2, "G": 3}[m[2]] {
		n <<= 10
	}
	return n, err == nil && n > 0
}
