package packer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile writes a file whole or not at all: into a temporary file in the
// same folder, synced and then renamed. What is there keeps its mode, and a
// process that maps it keeps the old one; a link is followed.
func replaceFile(name string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	if real, e := filepath.EvalSymlinks(name); e == nil {
		name = real
	}
	if st, e := os.Stat(name); e == nil {
		mode = st.Mode().Perm()
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
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
