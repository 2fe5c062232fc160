package dist

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// writeFile writes a file whole or not at all.
func writeFile(name string, data []byte) error {
	return writeWith(name, func(w io.Writer) error {
		_, err := bytes.NewReader(data).WriteTo(w)
		return err
	})
}

// writeWith makes the folder if need be and lets write fill a temporary file in
// it, which is synced and renamed if that succeeds and removed if not.
func writeWith(name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(f)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
