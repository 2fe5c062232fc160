package elfinfo

import "time"

// RecordFormat is the version of the record schema that this code writes.
// A reader refuses a larger one.
const RecordFormat = 1

// RecordFacts counts how often facts were added to what a record holds of a
// name. A record that was made before the newest were is incomplete, and what
// is not in it looks like what the build does not have: [DecodeBuild] refuses
// it with [ErrNotRecorded], and a download records the build again.
const RecordFacts = 1

// BuildID is a GNU build-id (the descriptor of NT_GNU_BUILD_ID) in lower-case
// hexadecimal, of any length; "" means that the file has none.
type BuildID string

// Build is the record of one shipped build of a library: all that compiling,
// linking and checking a live patch for it needs, without the library itself.
// One build is one build-id. It is stored as JSON in versions/ of a project.
type Build struct {
	// Format is RecordFormat, Facts RecordFacts when the record was made.
	Format int `json:"format"`
	Facts  int `json:"facts"`
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
	// DebugSource says where the symbols that are not dynamic came from; "" in
	// records of earlier versions of this program.
	DebugSource DebugSource `json:"debug_source,omitempty"`
	// BuildTime is RPMTAG_BUILDTIME in UTC. EndOfSupport is nil if unknown.
	BuildTime    time.Time  `json:"build_time"`
	EndOfSupport *time.Time `json:"end_of_support,omitempty"`
	// Changelog is of the package's changelog; nil if it was not read.
	Changelog *Changelog `json:"changelog,omitempty"`
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
	// Types are all types that Functions, Variables and TypeNames reach, each
	// once: a [TypeID] is an index. It is empty without debug information, else
	// Types[0] is void. The order is the same for the same input.
	Types []Type `json:"types,omitempty"`
	// TypesCut says, if limits made Types incomplete, which: one line for a
	// person. The types concerned are marked [Type.Cut].
	TypesCut string `json:"types_cut,omitempty"`
	// TypeNames are the types that were asked for by name ("struct NAME",
	// "union NAME", "enum NAME", or a typedef's NAME): each layout that a unit
	// of the library gives the name. None means that the library has no such
	// type in its debug information, more than one that the name is ambiguous.
	TypeNames map[string][]TypeID `json:"type_names,omitempty"`
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
	// Code is the SHA-256, in hexadecimal, of the function's code with every
	// address replaced by what it refers to, together with that of its NAME.cold
	// part: two builds in which it is equal hold the same code. "" means that
	// the code could not be decoded, or that a reference could not be told; such
	// a function equals none.
	Code string `json:"code,omitempty"`
	// Prototype is the C prototype from DWARF, "" if there is none. Type is the
	// same as an index of [Build.Types], of kind [TypeFunction]; 0 is unknown.
	Prototype string `json:"prototype,omitempty"`
	Type      TypeID `json:"type,omitempty"`
	// InlinedInto names the functions with code of their own that hold an
	// inlined copy of this one, directly or within a copy of another, sorted:
	// NAME@SOURCE, or NAME if the source is not known.
	InlinedInto []string `json:"inlined_into,omitempty"`
	// Clones are other functions that the compiler made of the same source:
	// they run instead of this one wherever it saw fit.
	Clones []Clone `json:"clones,omitempty"`
	// Variants are, for an IFUNC, the implementations that its resolver can
	// choose; for one of these implementations the others and itself. Indirect
	// names, for an implementation, the IFUNCs that can choose it, sorted.
	Variants []Variant `json:"variants,omitempty"`
	Indirect []string  `json:"indirect,omitempty"`
	Entry    Entry     `json:"entry"`
	Unwind   Unwind    `json:"unwind"`
}

// Clone is a copy of a function under a name of its own.
type Clone struct {
	// Name is the symbol's name, as odd.constprop.0; "" if no symbol is there.
	Name string `json:"name,omitempty"`
	// Kind is the word that the compiler added: constprop, isra, part, cold,
	// lto_priv; "copy" if debug information alone says that it is a copy.
	Kind string `json:"kind"`
	// Address and Size are as of [Function].
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
	// Reached says that only the function itself jumps to the clone, so that a
	// detour of the function takes the clone along: so are parts of it that the
	// compiler moved away (cold).
	Reached bool `json:"reached,omitempty"`
}

// Variant is one implementation of an indirect function.
type Variant struct {
	// Name is the symbol's name, "" if no symbol is there.
	Name string `json:"name,omitempty"`
	// Address and Size are as of [Function].
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
	// Resolver says that the resolver's code names the address; otherwise only
	// the name is like that of an implementation.
	Resolver bool `json:"resolver,omitempty"`
}

// Variable is one data object that a description names.
type Variable struct {
	Source  string `json:"source,omitempty"`
	Binding string `json:"binding"`
	// TLS says that Address is an offset into the library's TLS block.
	TLS     bool   `json:"tls,omitempty"`
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
	// Type is an index of [Build.Types]; 0 is unknown.
	Type TypeID `json:"type,omitempty"`
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
