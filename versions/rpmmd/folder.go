package rpmmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// scanFolder returns the binary packages that want chooses of all *.rpm files
// below dir, in the order of their paths. Their digests are computed here: they
// identify the files, they prove nothing.
func scanFolder(ctx context.Context, dir string, want func(name, arch string) bool) ([]Package, error) {
	var out []Package
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".rpm") {
			return err
		}
		p, ok, err := inspect(dir, name, want)
		if err != nil {
			return err
		}
		if ok {
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

func inspect(dir, name string, want func(name, arch string) bool) (Package, bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return Package{}, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return Package{}, false, err
	}
	rpm, err := rpmfile.New(name, f, info.Size())
	if err != nil {
		return Package{}, false, err
	}
	if n := rpm.NEVRA(); rpm.Source() || !want(n.Name, n.Arch) {
		return Package{}, false, nil
	}
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return Package{}, false, fmt.Errorf("%s: %w", name, err)
	}
	location, err := filepath.Rel(dir, name)
	if err != nil {
		return Package{}, false, err
	}
	return Package{
		NEVRA:     rpm.NEVRA(),
		Location:  filepath.ToSlash(location),
		Checksum:  Checksum{Type: "sha256", Value: hex.EncodeToString(h.Sum(nil))},
		Size:      size,
		BuildTime: rpm.BuildTime(),
	}, true, nil
}
