package builder

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// toolchain is a compiler with the linker that belongs to it. It is found with
// a handful of processes once and kept in the cache for as long as none of its
// files changes.
type toolchain struct {
	Compiler string `json:"compiler"`
	Linker   string `json:"linker"`
	// Libgcc is the static archive of the compiler's own run-time functions.
	Libgcc string `json:"libgcc"`
	// Version is one line for a person: compiler and linker.
	Version string `json:"version"`
	// Files are the programs whose change makes it another toolchain.
	Files []fileStamp `json:"files"`
}

// fileStamp recognises a file without reading it.
type fileStamp struct {
	// Name is what was looked for in PATH, as the compiler does each time that it
	// runs the program; "" if it knows the path.
	Name  string `json:"name,omitempty"`
	Path  string `json:"path"`
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime_ns"`
}

func stampFile(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{Path: path, Size: info.Size(), MTime: info.ModTime().UnixNano()}, nil
}

// unchanged reports whether every file of t is still the one that was seen, and
// the first of its name in PATH if there is any.
func (t *toolchain) unchanged() bool {
	for _, f := range t.Files {
		now, err := stampFile(f.Path)
		now.Name = f.Name
		if err != nil || now != f {
			return false
		}
		if first, err := exec.LookPath(f.Name); f.Name != "" && err == nil && first != f.Path {
			return false
		}
	}
	return len(t.Files) > 0
}

// identity is the part of a cache key that stands for the toolchain.
func (t *toolchain) identity() []any { return []any{t.Version, t.Files} }

// findToolchain returns the toolchain of the compiler called name (a path or a
// name in PATH, "" for gcc). A compiler that has left PATH but whose files are
// unchanged is still usable, so that a cached result needs no compiler in PATH.
func findToolchain(ctx context.Context, s *store, name string) (*toolchain, error) {
	if name == "" {
		name = "gcc"
	}
	key, err := keyOf("toolchain", name)
	if err != nil {
		return nil, err
	}
	path, lookErr := exec.LookPath(name)
	if data, ok := s.get("toolchains", key); ok {
		var t toolchain
		known := json.Unmarshal(data, &t) == nil && t.unchanged()
		if known && (lookErr != nil || path == t.Compiler) {
			return &t, nil
		}
	}
	if lookErr != nil {
		return nil, &ToolError{Cmd: name, Err: lookErr}
	}
	t, err := askToolchain(ctx, path)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	s.put("toolchains", key, data)
	return t, nil
}

// askToolchain asks the compiler at path which programs it runs.
func askToolchain(ctx context.Context, path string) (*toolchain, error) {
	ask := func(tool, arg string) (string, error) {
		out, err := run(ctx, command{path: tool, args: []string{arg}})
		line, _, _ := strings.Cut(out, "\n")
		return strings.TrimSpace(line), err
	}
	t := &toolchain{Compiler: path}
	answers := map[string]string{}
	for _, q := range []string{"--version", "-print-prog-name=ld", "-print-prog-name=as",
		"-print-prog-name=cc1", "-print-prog-name=cc1plus", "-print-libgcc-file-name"} {
		a, err := ask(path, q)
		if err != nil {
			return nil, err
		}
		answers[q] = a
	}
	var err error
	if t.Linker, err = exec.LookPath(answers["-print-prog-name=ld"]); err != nil {
		return nil, fmt.Errorf("%s: linker: %w", path, err)
	}
	linkerVersion, err := ask(t.Linker, "--version")
	if err != nil {
		return nil, err
	}
	t.Libgcc = answers["-print-libgcc-file-name"]
	t.Version = answers["--version"] + "; " + linkerVersion
	programs := []string{path, t.Linker, answers["-print-prog-name=ld"], answers["-print-prog-name=as"],
		answers["-print-prog-name=cc1"], answers["-print-prog-name=cc1plus"], t.Libgcc}
	t.Files, err = stampPrograms(programs)
	return t, err
}

// stampPrograms stamps those of the programs that exist: clang answers with a
// bare name for the parts that it has built in.
func stampPrograms(programs []string) ([]fileStamp, error) {
	var stamps []fileStamp
	for _, p := range programs {
		name := ""
		if !filepath.IsAbs(p) {
			found, err := exec.LookPath(p)
			if err != nil {
				continue
			}
			name, p = p, found
		}
		st, err := stampFile(p)
		st.Name = name
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		stamps = append(stamps, st)
	}
	return stamps, nil
}

// archiveSymbols returns the names that the symbol index of the static archive
// at path offers. An archive without an index offers none.
//
// The index is the member "/" of the System V archive format: a big-endian
// count, that many offsets, then the names, each ended by NUL.
func archiveSymbols(path string) (map[string]bool, error) {
	const magic, headerLen, maxIndex = "!<arch>\n", 60, 16 << 20
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, len(magic)+headerLen)
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.HasPrefix(head, []byte(magic+"/ ")) {
		return nil, nil
	}
	field := strings.TrimSpace(string(head[len(magic)+48 : len(magic)+58]))
	size, err := strconv.ParseUint(field, 10, 31)
	if err != nil || size < 4 || size > maxIndex {
		return nil, fmt.Errorf("%s: archive index of %q bytes", path, field)
	}
	index := make([]byte, size)
	if _, err := f.ReadAt(index, int64(len(head))); err != nil {
		return nil, fmt.Errorf("%s: archive index: %w", path, err)
	}
	count := uint64(binary.BigEndian.Uint32(index))
	if count > (size-4)/4 {
		return nil, fmt.Errorf("%s: archive index counts %d names in %d bytes", path, count, size)
	}
	names := map[string]bool{}
	for name := range bytes.SplitSeq(index[4+4*count:], []byte{0}) {
		names[string(name)] = true
	}
	delete(names, "")
	return names, nil
}
