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
//   - debug information, so that prototypes can be compared, and no function
//     folded into an equal one, which takes it away. The container does not
//     keep it.
var baseFlags = []string{
	"-O2", "-g", "-fPIC", "-fno-semantic-interposition",
	"-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0", "-fno-stack-protector",
	"-fcf-protection=full", "-mtls-dialect=gnu", "-fasynchronous-unwind-tables",
	"-fno-ipa-icf", "-Wall",
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

// compiled is what comes of one source, as the cache keeps it.
type compiled struct {
	Object []byte `json:"object"`
	// Log is what the compiler said: warnings.
	Log string `json:"log"`
}

// source is one file to compile, in one variant of its patch.
type source struct {
	*variant
	// dir is the file's folder, base its name.
	dir, base string
	// work is the name of files of its own in the maker's folder.
	work string
}

// compile returns the object made from the sources of a patch and what the
// compiler said. work is a name that no other variant has.
func (m *maker) compile(ctx context.Context, work string, v *variant) (*object, string, error) {
	var objects [][]byte
	var logs strings.Builder
	for i, file := range v.patch.sourceFiles() {
		dir, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			return nil, "", err
		}
		c, err := m.compileFile(ctx, &source{variant: v, dir: dir, base: filepath.Base(file), work: fmt.Sprintf("%s-%d", work, i)})
		if err != nil {
			return nil, "", keepLog(m.store, err)
		}
		objects = append(objects, c.Object)
		logs.WriteString(c.Log)
	}
	data, err := m.joinObjects(ctx, work, objects)
	if err != nil {
		return nil, "", err
	}
	o, err := readObject(data)
	return o, logs.String(), err
}

// compileFile compiles one file, once for all variants that are the same text
// behind the preprocessor, and not at all if the cache has the object of it.
func (m *maker) compileFile(ctx context.Context, src *source) (*compiled, error) {
	pre, err := m.preprocess(ctx, src)
	if err != nil {
		return nil, err
	}
	key, err := keyOf("object", m.tools.identity(), m.commonFlags(src), src.patch.Name, src.base, pre.Text)
	if err != nil {
		return nil, err
	}
	result, err, _ := m.flights.Do(key, func() (any, error) {
		if data, ok := m.store.get("objects", key); ok && pre.complete() {
			var c compiled
			if json.Unmarshal(data, &c) == nil {
				return &c, nil
			}
		}
		c, err := m.runCompiler(ctx, src)
		if err != nil || !pre.complete() || changedSince(src.dir, pre.Dependencies, pre.began) {
			return c, err
		}
		data, err := json.Marshal(c)
		m.store.put("objects", key, data)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	return result.(*compiled), nil
}

// commonFlags are all options that change what comes out of one text behind the
// preprocessor, apart from folders.
func (m *maker) commonFlags(src *source) []string {
	return slices.Concat(baseFlags, languageFlags(src.base), m.opts.Flags)
}

// compilerFlags are all options but those that name files.
func (m *maker) compilerFlags(src *source) []string {
	return slices.Concat(m.commonFlags(src), src.flags(), lastFlags(src.patch.Name, src.dir))
}

// runCompiler compiles a file in its own folder: the file itself and not the
// preprocessor's output, for the sake of the compiler's messages.
func (m *maker) runCompiler(ctx context.Context, src *source) (*compiled, error) {
	object := filepath.Join(m.work, src.work+".o")
	args := append(m.compilerFlags(src), "-c", "-o", object, "./"+src.base)
	log, err := run(ctx, command{path: m.tools.Compiler, args: args, dir: src.dir})
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(object)
	return &compiled{Object: data, Log: log}, err
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
