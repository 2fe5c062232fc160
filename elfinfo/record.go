package elfinfo

import "time"

// RecordFormat is the version of the record schema that this code writes.
// A reader refuses a larger one.
const RecordFormat = 1

// BuildID is a GNU build-id (the descriptor of NT_GNU_BUILD_ID) in lower-case
// hexadecimal, of any length; "" means that the file has none.
type BuildID string

// Build is the record of one shipped build of a library: all that compiling,
// linking and checking a live patch for it needs, without the library itself.
// One build is one build-id. It is stored as JSON in versions/ of a project.
type Build struct {
	// Format is RecordFormat.
	Format int `json:"format"`
	// NEVRA is the package that shipped the build, NAME-[EPOCH:]VERSION-RELEASE.ARCH.
	NEVRA string `json:"nevra"`
	// Package is the package's name, Arch RPM's architecture, as x86_64.
	Package string `json:"package"`
	Arch    string `json:"arch"`
	// RPMSHA256 and DebugRPMSHA256 are the SHA-256 of the package files, in hexadecimal.
	RPMSHA256      string `json:"rpm_sha256"`
	DebugRPMSHA256 string `json:"debug_rpm_sha256,omitempty"`
	// Library is the absolute path inside the package, Soname its DT_SONAME
	// (the base name of Library if it has none).
	Library string  `json:"library"`
	Soname  string  `json:"soname"`
	BuildID BuildID `json:"build_id"`
	// LibrarySHA256 is the SHA-256 of the library file.
	LibrarySHA256 string `json:"library_sha256"`
	// BuildTime is RPMTAG_BUILDTIME in UTC. EndOfSupport is nil if unknown.
	BuildTime    time.Time  `json:"build_time"`
	EndOfSupport *time.Time `json:"end_of_support,omitempty"`
	// Needed are the DT_NEEDED entries in file order.
	Needed []string `json:"needed"`
	// Symbols are all defined dynamic symbols, Imports all undefined ones, in file order.
	Symbols []Symbol `json:"symbols"`
	Imports []Symbol `json:"imports"`
	// Functions and Variables hold what descriptions name, by bare name (no
	// "@source"). Every name that was asked for is a key of one of them or of
	// Absent; a name in none has never been looked up in this build.
	// More than one entry means that the name is ambiguous without a source.
	Functions map[string][]Function `json:"functions,omitempty"`
	Variables map[string][]Variable `json:"variables,omitempty"`
	// Absent lists names that were looked up and that the build does not define.
	Absent []string `json:"absent,omitempty"`
}

// Symbol is one dynamic symbol.
type Symbol struct {
	Name string `json:"name"`
	// Version is the symbol version, "" if unversioned. Default says that a
	// definition is the one that an unversioned reference binds to (name@@version).
	Version string `json:"version,omitempty"`
	Default bool   `json:"default,omitempty"`
	// Library is, for an import, the soname that the version is required of.
	Library string `json:"library,omitempty"`
	// Kind is one of func, object, tls, ifunc, notype.
	Kind string `json:"kind"`
	// Binding is one of global, weak, unique.
	Binding string `json:"binding"`
	// Address is st_value, Size st_size, in bytes.
	Address uint64 `json:"address,omitempty"`
	Size    uint64 `json:"size,omitempty"`
	// Absolute says that Address is a plain value (SHN_ABS), to which no load
	// address is added.
	Absolute bool `json:"absolute,omitempty"`
	// Undefined marks an import. A record keeps imports in a list of their own.
	Undefined bool `json:"-"`
}

// Function is one function that a description names.
type Function struct {
	// Source is the file of the compilation unit (base name), from STT_FILE or
	// DWARF; "" if unknown.
	Source string `json:"source,omitempty"`
	// Binding is one of local, global, weak. Kind is func or ifunc.
	Binding string `json:"binding"`
	Kind    string `json:"kind"`
	// Address is the symbol's value, Size its length in bytes.
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
	// Before are the PadBefore bytes directly before Address, Bytes the
	// function's own bytes, SHA256 the digest of Bytes in hexadecimal.
	Before []byte `json:"before,omitempty"`
	Bytes  []byte `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Prototype is the C prototype from DWARF, "" if there is none.
	Prototype string `json:"prototype,omitempty"`
	// InlinedInto names the functions that hold an inlined copy, sorted.
	InlinedInto []string `json:"inlined_into,omitempty"`
	Entry       Entry    `json:"entry"`
	Unwind      Unwind   `json:"unwind"`
}

// Variable is one data object that a description names.
type Variable struct {
	Source  string `json:"source,omitempty"`
	Binding string `json:"binding"`
	// TLS says that Address is an offset into the library's TLS block.
	TLS     bool   `json:"tls,omitempty"`
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
}

// EntryKind says how a function can be redirected.
type EntryKind string

// The entry kinds.
const (
	// EntryPadded: built with -fpatchable-function-entry: a 2-byte NOP at the
	// entry (after an optional endbr64) and at least 14 bytes of NOP before it.
	EntryPadded EntryKind = "padded"
	// EntryStock: an ordinary function whose first instructions can be moved.
	EntryStock EntryKind = "stock"
	// EntryNone: not livepatchable; Reason says why.
	EntryNone EntryKind = "none"
)

// Entry says where and how a function can be detoured.
type Entry struct {
	Kind EntryKind `json:"kind"`
	// Offset is where the jump goes, counted from the function's address:
	// 4 after an endbr64, else 0.
	Offset int `json:"offset"`
	// Length is the number of bytes at Offset that the jump replaces: 2 if
	// padded; if stock the length of the whole instructions that cover 5 bytes.
	Length int `json:"length"`
	// Reason says, for EntryNone, why not: one line for a person.
	Reason string `json:"reason,omitempty"`
}

// Unwind says what may unwind through a function, or be called under it.
type Unwind struct {
	// Personality: its FDE's CIE has a personality routine ('P').
	Personality bool `json:"personality,omitempty"`
	// CallsBack: it calls through a pointer that its caller may have given.
	CallsBack bool `json:"calls_back,omitempty"`
	// Cancellation: it contains a cancellation point.
	Cancellation bool `json:"cancellation,omitempty"`
}
