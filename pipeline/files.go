package pipeline

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// filesIn are the paths of what a folder holds under names that match a pattern
// of path/filepath, sorted; a folder that is not there holds nothing. Unlike
// filepath.Glob, it takes the name of the folder as it is.
func filesIn(dir, pattern string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ok, err := filepath.Match(pattern, e.Name())
		if err != nil {
			return nil, err
		}
		if ok {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}
