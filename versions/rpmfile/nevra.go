package rpmfile

import (
	"fmt"
	"strconv"
	"strings"
)

// A NEVRA identifies a package: name, epoch, version, release, architecture.
type NEVRA struct {
	Name    string
	Epoch   uint32 // 0 if the package has none
	Version string
	Release string
	Arch    string // RPM's name of it, as x86_64 or noarch
}

// String gives NAME-[EPOCH:]VERSION-RELEASE.ARCH, without an epoch of 0.
func (n NEVRA) String() string {
	return n.Name + "-" + n.EVR() + "." + n.Arch
}

// EVR gives [EPOCH:]VERSION-RELEASE, without an epoch of 0.
func (n NEVRA) EVR() string {
	if n.Epoch == 0 {
		return n.Version + "-" + n.Release
	}
	return strconv.FormatUint(uint64(n.Epoch), 10) + ":" + n.Version + "-" + n.Release
}

// ParseNEVRA reads what String gives. The error wraps ErrFormat.
func ParseNEVRA(s string) (NEVRA, error) {
	head, arch, ok1 := cutLast(s, ".")
	head, release, ok2 := cutLast(head, "-")
	name, version, ok3 := cutLast(head, "-")
	if !ok1 || !ok2 || !ok3 {
		return NEVRA{}, fmt.Errorf("%w: %.200q is not NAME-[EPOCH:]VERSION-RELEASE.ARCH", ErrFormat, s)
	}
	n := NEVRA{Name: name, Version: version, Release: release, Arch: arch}
	if epoch, rest, found := strings.Cut(version, ":"); found {
		e, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil {
			return NEVRA{}, fmt.Errorf("%w: %.200q: epoch: %w", ErrFormat, s, err)
		}
		n.Epoch, n.Version = uint32(e), rest
	}
	return n, n.Validate()
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Validate refuses what rpm would not build, above all what would not be a
// harmless part of a file name: the fields end up in names of records and
// containers.
func (n NEVRA) Validate() error {
	for _, f := range []struct{ what, value, also string }{
		{"name", n.Name, "-"}, {"version", n.Version, ""}, {"release", n.Release, ""}, {"architecture", n.Arch, ""},
	} {
		if f.value == "" || len(f.value) > 200 || f.value[0] == '.' || f.value[0] == '-' {
			return fmt.Errorf("%w: package %s %.40q", ErrFormat, f.what, f.value)
		}
		if i := strings.IndexFunc(f.value, func(r rune) bool { return !allowed(r, f.also) }); i >= 0 {
			return fmt.Errorf("%w: package %s %.40q", ErrFormat, f.what, f.value)
		}
	}
	return nil
}

func allowed(r rune, also string) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return strings.ContainsRune("._+~^", r) || strings.ContainsRune(also, r)
}
