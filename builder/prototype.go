package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// readPrototypes returns the C prototypes of the replacements, from the debug
// information of the object. They only serve warnings: what cannot be found
// out is missing from the result.
func (m *maker) readPrototypes(ctx context.Context, v *variant) (map[string]string, error) {
	var names []string
	for _, u := range v.desc.Units {
		names = append(names, u.New)
	}
	key, err := keyOf("prototypes", m.tools.identity(), v.object.sum, names)
	if err != nil {
		return nil, err
	}
	prototypes := map[string]string{}
	if data, ok := m.store.get("prototypes", key); ok && json.Unmarshal(data, &prototypes) == nil {
		return prototypes, nil
	}
	// A relocatable file is not what elfinfo reads: link it against nothing.
	dir, err := os.MkdirTemp(m.work, "probe-")
	if err != nil {
		return nil, err
	}
	object, probe := filepath.Join(dir, "probe.o"), filepath.Join(dir, "probe.so")
	if err := os.WriteFile(object, v.object.data, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-shared", "--build-id=sha1", "-o", probe, object}
	if _, err := run(ctx, command{path: m.tools.Linker, args: args, dir: dir}); err != nil {
		return nil, err
	}
	f, err := elfinfo.Open(probe)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	record, err := elfinfo.NewBuild(f, nil, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if fn, err := record.Function(name); err == nil && fn.Prototype != "" {
			prototypes[name] = fn.Prototype
		}
	}
	data, err := json.Marshal(prototypes)
	if err != nil {
		return nil, err
	}
	m.store.put("prototypes", key, data)
	return prototypes, nil
}

// prototypeDifference says how a replacement's prototype differs from the
// original's in a way that matters to a caller in machine code: the number of
// parameters, "...", or what kind of register a value is in. It returns "" if
// there is no difference, and where a type's name does not tell (a typedef that
// is not a standard one), because a project may well declare it otherwise.
func prototypeDifference(original, replacement string) string {
	a, okA := splitPrototype(original)
	b, okB := splitPrototype(replacement)
	if !okA || !okB {
		return ""
	}
	if len(a.parameters) != len(b.parameters) {
		return fmt.Sprintf("%d parameters, not %d", len(b.parameters), len(a.parameters))
	}
	if differ(a.result, b.result) {
		return fmt.Sprintf("it returns %q, not %q", b.result, a.result)
	}
	for i := range a.parameters {
		if differ(a.parameters[i], b.parameters[i]) {
			return fmt.Sprintf("parameter %d is %q, not %q", i+1, b.parameters[i], a.parameters[i])
		}
	}
	return ""
}

// differ reports whether two declarations are certainly of different classes.
func differ(a, b string) bool {
	ca, cb := classOf(a), classOf(b)
	return ca != "" && cb != "" && ca != cb
}

// signature is a prototype taken apart.
type signature struct {
	result     string
	parameters []string
}

// splitPrototype takes "type name(parameters)" apart; it gives up on functions
// that return a pointer to a function or array.
func splitPrototype(text string) (signature, bool) {
	head, rest, ok := strings.Cut(text, "(")
	list, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return signature{}, false
	}
	name := strings.LastIndexAny(head, " *")
	s := signature{result: strings.TrimSpace(head[:name+1])}
	depth, start := 0, 0
	for i := range len(list) {
		switch list[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return signature{}, false
			}
		case ',':
			if depth == 0 {
				s.parameters = append(s.parameters, strings.TrimSpace(list[start:i]))
				start = i + 1
			}
		}
	}
	if last := strings.TrimSpace(list[start:]); last != "void" && last != "" {
		s.parameters = append(s.parameters, last)
	}
	return s, true
}

// classOf reduces a declaration to how its value is passed (System V psABI for
// x86-64, 3.2.3): "pointer", "integer of 4 bytes" and so on, "" if the text
// does not tell.
func classOf(declaration string) string {
	if strings.ContainsAny(declaration, "*[(&") {
		return "pointer"
	}
	if declaration == "..." {
		return declaration
	}
	words := slices.DeleteFunc(strings.Fields(declaration), func(w string) bool {
		return w == "const" || w == "volatile" || w == "restrict" || w == "register"
	})
	if len(words) == 0 {
		return ""
	}
	if class, ok := standardTypes[words[0]]; ok {
		return class
	}
	n := 0
	for n < len(words) && strings.Contains(" unsigned signed long short int char float double void _Bool ", " "+words[n]+" ") {
		n++
	}
	return arithmeticClass(words[:n])
}

// arithmeticClass is the class of a basic type in its keywords.
func arithmeticClass(words []string) string {
	has := func(w string) bool { return slices.Contains(words, w) }
	switch {
	case len(words) == 0:
		return ""
	case has("void"):
		return "void"
	case has("float"):
		return "float"
	case has("double") && has("long"):
		return "long double"
	case has("double"):
		return "double"
	case has("char"), has("_Bool"):
		return integer1
	case has("short"):
		return integer2
	case has("long"):
		return integer8
	}
	return integer4
}

const (
	integer1 = "integer of 1 byte"
	integer2 = "integer of 2 bytes"
	integer4 = "integer of 4 bytes"
	integer8 = "integer of 8 bytes"
)

// standardTypes are the classes of typedefs of C and POSIX on x86-64.
var standardTypes = map[string]string{
	"int8_t": integer1, "uint8_t": integer1, "int16_t": integer2, "uint16_t": integer2,
	"int32_t": integer4, "uint32_t": integer4, "pid_t": integer4, "uid_t": integer4,
	"gid_t": integer4, "mode_t": integer4, "socklen_t": integer4, "wchar_t": integer4,
	"wint_t": integer4, "int64_t": integer8, "uint64_t": integer8, "size_t": integer8,
	"ssize_t": integer8, "off_t": integer8, "off64_t": integer8, "time_t": integer8,
	"intptr_t": integer8, "uintptr_t": integer8, "ptrdiff_t": integer8,
}
