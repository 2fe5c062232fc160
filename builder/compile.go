package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
//   - debug information, so that prototypes can be compared. The container
//     does not keep it.
var baseFlags = []string{
	"-O2", "-g", "-fPIC", "-fno-semantic-interposition",
	"-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0", "-fno-stack-protector",
	"-fcf-protection=full", "-mtls-dialect=gnu", "-fasynchronous-unwind-tables",
	"-Wall",
}

// languageFlags are those that one language has and the other has not.
//
//   - C: calls to undeclared functions are errors: what they return would be
//     cut to 32 bits;
//   - C++: inline functions and templates stay inside the container.
func languageFlags(source string) []string {
	if isCPlusPlus(source) {
		return []string{"-fvisibility-inlines-hidden"}
	}
	return []string{"-Werror=implicit-function-declaration"}
}

func isCPlusPlus(source string) bool {
	switch filepath.Ext(source) {
	case ".cc", ".cpp", ".cxx":
		return true
	}
	return false
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

// source is one file to compile, in one variant of its patch.
type source struct {
	*variant
	// dir is the file's folder, base its name, key the cache's for the object.
	dir, base, key string
	// work is the name of files of its own in the maker's folder.
	work string
}

// compile returns the object made from the sources of a patch and what the
// compiler said. work is a name that no other variant has.
func (m *maker) compile(ctx context.Context, work string, v *variant) (*object, string, error) {
	var objects [][]byte
	var logs strings.Builder
	for i, file := range v.patch.sourceFiles() {
		src := &source{variant: v, work: fmt.Sprintf("%s-%d", work, i)}
		data, log, err := m.compileFile(ctx, src, file)
		if err != nil {
			return nil, "", err
		}
		objects = append(objects, data)
		logs.WriteString(log)
	}
	data, err := m.joinObjects(ctx, work, objects)
	if err != nil {
		return nil, "", err
	}
	o, err := readObject(data)
	return o, logs.String(), err
}

// compileFile returns the object of one file, from the cache if neither the
// source, a header, a flag nor the compiler has changed.
func (m *maker) compileFile(ctx context.Context, src *source, file string) ([]byte, string, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, "", err
	}
	src.dir, src.base = dir, filepath.Base(file)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	src.key, err = keyOf("object", m.tools.identity(), m.compilerFlags(src), src.patch.Name,
		src.base, digest(text), sourceDateEpoch())
	if err != nil {
		return nil, "", err
	}
	if data, log, ok := m.cachedObject(src); ok {
		return data, log, nil
	}
	data, info, err := m.runCompiler(ctx, src)
	if err != nil {
		return nil, "", keepLog(m.store, err)
	}
	note, err := json.Marshal(info)
	if err != nil {
		return nil, "", err
	}
	if err := m.store.put("objects", src.key, data); err != nil {
		return nil, "", err
	}
	return data, info.Log, m.store.put("dependencies", src.key, note)
}

// compilerFlags are all options that change what comes out, apart from folders.
func (m *maker) compilerFlags(src *source) []string {
	return slices.Concat(baseFlags, languageFlags(src.base), m.opts.Flags, src.flags())
}

// cachedObject returns the object kept for src if every file that went into it
// still has the same content. A header that would now be found in an earlier
// folder is not noticed.
func (m *maker) cachedObject(src *source) (data []byte, log string, ok bool) {
	note, ok := m.store.get("dependencies", src.key)
	if !ok {
		return nil, "", false
	}
	var info compiled
	if json.Unmarshal(note, &info) != nil {
		return nil, "", false
	}
	for _, d := range info.Dependencies {
		text, err := os.ReadFile(under(src.dir, d.Path))
		if err != nil || digest(text) != d.SHA256 {
			return nil, "", false
		}
	}
	data, ok = m.store.get("objects", src.key)
	return data, info.Log, ok
}

// runCompiler compiles a file in its own folder.
func (m *maker) runCompiler(ctx context.Context, src *source) ([]byte, *compiled, error) {
	object := filepath.Join(m.work, src.work+".o")
	deps := filepath.Join(m.work, src.work+".d")
	args := slices.Concat(m.compilerFlags(src), lastFlags(src.patch.Name, src.dir),
		[]string{"-MD", "-MF", deps, "-MT", "x", "-c", "-o", object, "./" + src.base})
	log, err := run(ctx, command{path: m.tools.Compiler, args: args, dir: src.dir})
	if err != nil {
		return nil, nil, err
	}
	info := &compiled{Log: log}
	if info.Dependencies, err = readDependencies(deps, src.dir); err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(object)
	return data, info, err
}

// joinObjects makes one relocatable file of several.
func (m *maker) joinObjects(ctx context.Context, work string, objects [][]byte) ([]byte, error) {
	if len(objects) == 1 {
		return objects[0], nil
	}
	dir, err := os.MkdirTemp(m.work, "join-")
	if err != nil {
		return nil, err
	}
	args := []string{"-r", "-o", work + ".o"}
	for i, data := range objects {
		name := fmt.Sprintf("part%d.o", i)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
		args = append(args, name)
	}
	if _, err := run(ctx, command{path: m.tools.Linker, args: args, dir: dir}); err != nil {
		return nil, keepLog(m.store, err)
	}
	return os.ReadFile(filepath.Join(dir, work+".o"))
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
