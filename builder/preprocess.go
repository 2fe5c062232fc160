package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// preprocessed is what the preprocessor made of one source, in one variant.
type preprocessed struct {
	// Text is the digest of all of it that matters to a compiler.
	Text string `json:"text"`
	// Dependencies are the files that were read.
	Dependencies []dependency `json:"dependencies"`
	// Opaque: the assembler reads files that are not among them.
	Opaque bool `json:"opaque,omitempty"`
	// Shadows are files that could have been read in place of one of them.
	Shadows []string `json:"shadows,omitempty"`

	began time.Time
}

// complete says that the text stands for the object.
func (p *preprocessed) complete() bool { return !p.Opaque }

// dependency is a file that the preprocessor read, with its SHA-256.
type dependency struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// preprocess returns what the preprocessor makes of src, from the cache if
// neither the source, a header, a flag nor the compiler has changed.
func (m *maker) preprocess(ctx context.Context, src *source) (*preprocessed, error) {
	// Names of dependencies are relative to the folder, so it is in the key.
	key, err := keyOf("preprocessed", m.tools.identity(), m.compilerFlags(src), src.dir, src.base, sourceDateEpoch())
	if err != nil {
		return nil, err
	}
	var p preprocessed
	if note, ok := m.store.get("preprocessed", key); ok && json.Unmarshal(note, &p) == nil {
		p.began = time.Now()
		if len(p.Dependencies) > 0 && m.digests.unchanged(src.dir, p.Dependencies) &&
			slices.Equal(p.Shadows, m.shadows(src, p.Dependencies)) {
			return &p, nil
		}
	}
	result, err := m.runPreprocessor(ctx, src)
	if err != nil {
		return nil, err
	}
	note, err := json.Marshal(result)
	if err == nil && !changedSince(src.dir, result.Dependencies, result.began) && !asksForFiles(src.dir, result.Dependencies) {
		m.store.put("preprocessed", key, note)
	}
	return result, err
}

func (m *maker) runPreprocessor(ctx context.Context, src *source) (*preprocessed, error) {
	out, rule := filepath.Join(m.work, src.work+".i"), filepath.Join(m.work, src.work+".d")
	args := append(m.compilerFlags(src), "-E", "-MD", "-MF", rule, "-MT", "x", "-o", out, "./"+src.base)
	began := time.Now()
	if _, err := run(ctx, command{path: m.tools.Compiler, args: args, dir: src.dir}); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	p := &preprocessed{Text: textDigest(text), Opaque: assemblerInput.Match(text), began: began}
	if p.Dependencies, err = m.readDependencies(rule, src.dir); err != nil {
		return nil, err
	}
	p.Shadows = m.shadows(src, p.Dependencies)
	return p, nil
}

// assemblerInput are the directives of the assembler that read a file.
var assemblerInput = regexp.MustCompile(`\.incbin|\.include[\s"\\]`)

// lineBuiltins are what makes code depend on where it stands.
var lineBuiltins = []string{"__builtin_LINE", "__builtin_FILE", "__builtin_source_location"}

// textDigest is the digest of preprocessed text without the lines that only
// say where it comes from ("# 12 "/usr/include/stdio.h" 3") and empty ones, so
// that headers which differ in comments are the same.
func textDigest(text []byte) string {
	for _, name := range lineBuiltins {
		if bytes.Contains(text, []byte(name)) {
			return digest(text)
		}
	}
	h := sha256.New()
	for line := range bytes.Lines(text) {
		marker := len(line) > 2 && line[0] == '#' && line[1] == ' ' && line[2] >= '0' && line[2] <= '9'
		if !marker && len(bytes.TrimSpace(line)) > 0 {
			h.Write(line)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digests are the SHA-256 of files, and the names in folders, as they were when
// first asked for. The zero value is ready.
type digests struct {
	mu      sync.Mutex
	known   map[string]string
	folders map[string]map[string]bool
}

// of returns the digest of a file.
func (d *digests) of(name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if sum, ok := d.known[name]; ok {
		return sum, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if d.known == nil {
		d.known = map[string]string{}
	}
	d.known[name] = digest(data)
	return d.known[name], nil
}

// unchanged says whether files still have their content; relative names start
// from dir.
func (d *digests) unchanged(dir string, deps []dependency) bool {
	return !slices.ContainsFunc(deps, func(dep dependency) bool {
		sum, err := d.of(under(dir, dep.Path))
		return err != nil || sum != dep.SHA256
	})
}

// changedSince says whether a file was written to after a time: what was made
// of it since may be of either content, so it is not kept.
func changedSince(dir string, deps []dependency, began time.Time) bool {
	return slices.ContainsFunc(deps, func(dep dependency) bool {
		info, err := os.Stat(under(dir, dep.Path))
		return err != nil || info.ModTime().After(began)
	})
}

// readDependencies reads the make rule that the preprocessor wrote and digests
// the files that it names; relative names start from dir.
func (m *maker) readDependencies(rule, dir string) ([]dependency, error) {
	text, err := os.ReadFile(rule)
	if err != nil {
		return nil, err
	}
	var deps []dependency
	for _, name := range ruleNames(string(text)) {
		sum, err := m.digests.of(under(dir, name))
		if err != nil {
			return nil, fmt.Errorf("dependency of the source: %w", err)
		}
		deps = append(deps, dependency{Path: name, SHA256: sum})
	}
	return deps, nil
}

// ruleNames splits the prerequisites of a make rule as gcc -MD writes it: a
// blank in a name is escaped by a backslash, a dollar sign is doubled.
func ruleNames(rule string) []string {
	_, list, _ := strings.Cut(rule, ":")
	list = strings.ReplaceAll(list, "\\\n", " ")
	list = strings.ReplaceAll(list, `\ `, "\x00")
	var names []string
	for _, f := range strings.Fields(list) {
		f = strings.ReplaceAll(f, "\x00", " ")
		f = strings.ReplaceAll(f, `\#`, "#")
		names = append(names, strings.ReplaceAll(f, "$$", "$"))
	}
	return names
}

// under returns name, in dir if it is relative.
func under(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
