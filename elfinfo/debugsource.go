package elfinfo

// A DebugSource says where the symbols of a build that are not dynamic came
// from, and so how much a record can know: prototypes, types, inlined copies and
// private variables need full debug information.
type DebugSource string

// The debug sources, best first.
const (
	// DebugPackage: the debug file that a package of debug symbols has under
	// the library's build-id.
	DebugPackage DebugSource = "package"
	// DebugByName: such a package's file that .gnu_debuglink names.
	DebugByName DebugSource = "debuglink"
	// DebugServer: a debuginfod server's answer.
	DebugServer DebugSource = "debuginfod"
	// DebugLibrary: the library was not stripped: its own .symtab, and debug
	// information if it has any.
	DebugLibrary DebugSource = "library"
	// DebugMini: the library's .gnu_debugdata, which names functions only.
	DebugMini DebugSource = "minidebuginfo"
	// DebugNone: the dynamic symbols are all that is known.
	DebugNone DebugSource = "none"
)

// debugSources are in order of how much they are believed to know.
var debugSources = []DebugSource{DebugPackage, DebugByName, DebugServer, DebugLibrary, DebugMini, DebugNone}

// Functions says that private functions are known. It is false for "", of a
// record whose writer did not say.
func (s DebugSource) Functions() bool { return s != DebugNone && s != "" }

// Variables says that private variables are known, too: a name that is then
// missing is really missing.
func (s DebugSource) Variables() bool { return s.Functions() && s != DebugMini }
