package builder

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// localHeaders is the folder that gcc searches before the system's own.
const localHeaders = "/usr/local/include"

// maxHeaderPath is how many folders and names an #include is taken to have.
const maxHeaderPath = 4

// shadows are the files that have the name of a dependency, or the end of it, in
// a folder that could be searched before the one where that was found, sorted.
// When another appears, the source may be another text although nothing that
// was read has changed.
func (m *maker) shadows(src *source, deps []dependency) []string {
	read := map[string]bool{}
	for _, d := range deps {
		read[under(src.dir, d.Path)] = true
	}
	var found []string
	for _, folder := range src.searched(m.opts.Flags, deps) {
		names := m.digests.names(folder)
		for _, d := range deps {
			for _, end := range pathEnds(d.Path) {
				first, rest, deep := strings.Cut(end, "/")
				file := filepath.Join(folder, first, rest)
				if !names[first] || read[file] {
					continue
				}
				if info, err := os.Stat(file); deep && err != nil || err == nil && info.IsDir() {
					continue
				}
				found = append(found, file)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// searched are the folders for headers that people write to: those of the
// source and of what it includes, those of options, and localHeaders.
func (src *source) searched(flags []string, deps []dependency) []string {
	folders := append([]string{src.dir, localHeaders}, src.headers...)
	for i, f := range flags {
		for _, option := range []string{"-I", "-iquote", "-isystem", "-idirafter"} {
			folder, ok := strings.CutPrefix(f, option)
			if ok && folder == "" && i+1 < len(flags) {
				folder = flags[i+1]
			}
			if ok && folder != "" {
				folders = append(folders, under(src.dir, folder))
			}
		}
	}
	for _, d := range deps {
		if file := under(src.dir, d.Path); !strings.HasPrefix(file, "/usr/") {
			folders = append(folders, filepath.Dir(file))
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// pathEnds are the last name of a path, the last two, and so on.
func pathEnds(name string) []string {
	var ends []string
	for at := len(name); at > 0 && len(ends) < maxHeaderPath; {
		at = strings.LastIndexByte(name[:at], '/')
		ends = append(ends, name[at+1:])
	}
	return ends
}

// names are the names in a folder as they were when first asked for.
func (d *digests) names(folder string) map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if names, ok := d.folders[folder]; ok {
		return names
	}
	names := map[string]bool{}
	entries, _ := os.ReadDir(folder) // one that is not there has none
	for _, e := range entries {
		names[e.Name()] = true
	}
	if d.folders == nil {
		d.folders = map[string]map[string]bool{}
	}
	d.folders[folder] = names
	return names
}

// asksForFiles says that a file of the project asks whether another exists: no
// dependency tells when the answer changes.
func asksForFiles(dir string, deps []dependency) bool {
	return slices.ContainsFunc(deps, func(d dependency) bool {
		if filepath.IsAbs(d.Path) && !strings.HasPrefix(d.Path, dir+"/") {
			return false
		}
		data, err := os.ReadFile(under(dir, d.Path))
		return err != nil || bytes.Contains(data, []byte("__has_include"))
	})
}
