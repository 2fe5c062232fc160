package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/livepatch/trust"
)

// containers reads what the arguments name; a folder means every *.so in it, in
// the order of their names. What root is about to put into processes (apply)
// must be a file that nobody else can have written.
func containers(names []string, apply bool) ([]*livepatch.Container, error) {
	trusted := apply && os.Geteuid() == 0
	var set []*livepatch.Container
	for _, name := range names {
		files := []string{name}
		if fi, err := os.Stat(name); err == nil && fi.IsDir() {
			if files, err = inFolder(name, trusted); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			c, err := openContainer(file, trusted)
			if err != nil {
				return nil, err
			}
			set = append(set, c)
		}
	}
	return set, nil
}

func openContainer(name string, trusted bool) (*livepatch.Container, error) {
	if !trusted {
		return livepatch.OpenContainer(name)
	}
	f, err := trust.File(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return livepatch.ReadContainerFile(f)
}

// inFolder lists the containers of a folder.
func inFolder(name string, trusted bool) ([]string, error) {
	open := os.Open
	if trusted {
		open = func(name string) (*os.File, error) { return trust.Folder(name + "/.") }
	}
	dir, err := open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() || !strings.HasSuffix(e.Name(), ".so") })
	if len(entries) == 0 {
		return nil, cli.Usagef("%s: a folder without containers (*.so)", name)
	}
	var files []string
	for _, e := range entries {
		files = append(files, filepath.Join(name, e.Name()))
	}
	slices.Sort(files)
	return files, nil
}
