package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// baseFlags come before the project's own. The object must be one that every
// build can be linked with, whatever this machine's compiler has as defaults:
//
//   - optimised and position independent; a replacement calls its own
//     functions directly (the container is linked -Bsymbolic), so that the
//     program it lands in cannot interpose them;
//   - no _FORTIFY_SOURCE and no stack protector by default: both make a
//     compiler name functions (__strlcpy_chk, __stack_chk_fail) that an older
//     libc or a library other than libc does not offer. A project whose target
//     offers them turns them on with its own flags;
//   - marked for indirect-branch tracking and shadow stacks, and with frame
//     information for every instruction: a thread that unwinds through a
//     replacement must find its way;
//   - calls to undeclared functions are errors: what they return would be cut
//     to 32 bits;
//   - debug information, so that prototypes can be compared. The container
//     does not keep it.
var baseFlags = []string{
	"-O2", "-g", "-fPIC", "-fno-semantic-interposition",
	"-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0", "-fno-stack-protector",
	"-fcf-protection=full", "-mtls-dialect=gnu", "-fasynchronous-unwind-tables",
	"-Wall", "-Werror=implicit-function-declaration",
}

// lastFlags come after the project's own: without them the object could not be
// read (link-time optimisation) or would differ from folder to folder.
func lastFlags(name, dir string) []string {
	return []string{"-fno-lto", "-fno-ident", "-frandom-seed=" + name, "-ffile-prefix-map=" + dir + "=."}
}

// dependency is a file that the compiler read, with its SHA-256.
type dependency struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// compiled is what the cache keeps beside an object.
type compiled struct {
	Dependencies []dependency `json:"dependencies"`
	// Log is what the compiler said: warnings.
	Log string `json:"log"`
}

// compile returns the object made from the patch's source and what the
// compiler said, from the cache if neither the source, a header, a flag nor
// the compiler has changed.
func (m *maker) compile(ctx context.Context) (*object, string, error) {
	source := m.patch.sourceFile()
	dir, err := filepath.Abs(filepath.Dir(source))
	if err != nil {
		return nil, "", err
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return nil, "", err
	}
	key, err := keyOf("object", m.tools.identity(), baseFlags, m.opts.Flags, lastFlags(m.patch.Name, dir),
		filepath.Base(source), digest(text), sourceDateEpoch())
	if err != nil {
		return nil, "", err
	}
	if data, log, ok := m.cachedObject(key, dir); ok {
		o, err := readObject(data)
		return o, log, err
	}
	data, info, err := m.runCompiler(ctx, dir, filepath.Base(source))
	if err != nil {
		return nil, "", keepLog(m.store, err)
	}
	note, err := json.Marshal(info)
	if err != nil {
		return nil, "", err
	}
	if err := m.store.put("objects", key, data); err != nil {
		return nil, "", err
	}
	if err := m.store.put("dependencies", key, note); err != nil {
		return nil, "", err
	}
	o, err := readObject(data)
	return o, info.Log, err
}

// cachedObject returns the object kept under key if every file that went into
// it still has the same content. A header that would now be found in an
// earlier folder is not noticed.
func (m *maker) cachedObject(key, dir string) (data []byte, log string, ok bool) {
	note, ok := m.store.get("dependencies", key)
	if !ok {
		return nil, "", false
	}
	var info compiled
	if json.Unmarshal(note, &info) != nil {
		return nil, "", false
	}
	for _, d := range info.Dependencies {
		text, err := os.ReadFile(under(dir, d.Path))
		if err != nil || digest(text) != d.SHA256 {
			return nil, "", false
		}
	}
	data, ok = m.store.get("objects", key)
	return data, info.Log, ok
}

// runCompiler compiles the file called base in dir.
func (m *maker) runCompiler(ctx context.Context, dir, base string) ([]byte, *compiled, error) {
	object := filepath.Join(m.work, "patch.o")
	deps := filepath.Join(m.work, "patch.d")
	args := append([]string{}, baseFlags...)
	args = append(args, m.opts.Flags...)
	args = append(args, lastFlags(m.patch.Name, dir)...)
	args = append(args, "-MD", "-MF", deps, "-MT", "x", "-c", "-o", object, "./"+base)
	log, err := run(ctx, command{path: m.tools.Compiler, args: args, dir: dir})
	if err != nil {
		return nil, nil, err
	}
	info := &compiled{Log: log}
	if info.Dependencies, err = readDependencies(deps, dir); err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(object)
	return data, info, err
}

// readDependencies reads the make rule that the compiler wrote and digests the
// files that it names; relative names start from dir.
func readDependencies(rule, dir string) ([]dependency, error) {
	text, err := os.ReadFile(rule)
	if err != nil {
		return nil, err
	}
	var deps []dependency
	for _, name := range ruleNames(string(text)) {
		data, err := os.ReadFile(under(dir, name))
		if err != nil {
			return nil, fmt.Errorf("dependency of the source: %w", err)
		}
		deps = append(deps, dependency{Path: name, SHA256: digest(data)})
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
