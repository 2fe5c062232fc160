package elfinfo

// TypeID is an index of [Build.Types]. 0 is void, and where a type is optional
// it says that the type is not known.
type TypeID int

// TypeKind says what a type is.
type TypeKind string

// The kinds of types, after the DWARF tags (DWARF 5, chapter 5).
const (
	TypeVoid      TypeKind = "void"
	TypeBase      TypeKind = "base"      // Encoding and Size say which
	TypePointer   TypeKind = "pointer"   // to Of
	TypeReference TypeKind = "reference" // C++ &, to Of
	TypeRvalue    TypeKind = "rvalue"    // C++ &&, to Of
	TypeMemberPtr TypeKind = "member_pointer"
	TypeStruct    TypeKind = "struct" // also a C++ class
	TypeUnion     TypeKind = "union"
	TypeEnum      TypeKind = "enum"     // Values; Of is the type under it, if known
	TypeArray     TypeKind = "array"    // of Count times Of
	TypeFunction  TypeKind = "function" // Parameters; Of is what it returns
	TypeTypedef   TypeKind = "typedef"  // another Name of Of
	TypeConst     TypeKind = "const"
	TypeVolatile  TypeKind = "volatile"
	TypeRestrict  TypeKind = "restrict"
	TypeAtomic    TypeKind = "atomic"
	// TypeUnknown stands for what could not be read: damaged debug information,
	// or a type in a file that is not there. It equals every type and none.
	TypeUnknown TypeKind = "unknown"
)

// UnknownCount is [Type.Count] of an array without a size.
const UnknownCount = -1

// Type is one type of a library. Types refer to each other by [TypeID], in
// cycles too. Two types of a record are never the same in everything.
type Type struct {
	Kind TypeKind `json:"kind"`
	// Name is the tag or name, in C++ with its namespaces (a::b); "" if it has none.
	Name string `json:"name,omitempty"`
	// Size is in bytes; of a pointer, too.
	Size uint64 `json:"size,omitempty"`
	// Align is in bytes: what the source demands (DW_AT_alignment), 0 for the usual.
	Align uint64 `json:"align,omitempty"`
	// Encoding of a base type is one of signed, unsigned, char, float, complex,
	// bool, utf, other (DWARF 5, section 5.1.1). A char is signed on x86-64.
	Encoding string `json:"encoding,omitempty"`
	// Of is the type that this one is made of.
	Of TypeID `json:"of,omitempty"`
	// Count is the number of elements of an array, [UnknownCount] if the array
	// has no size. An array of several dimensions is an array of arrays.
	Count int64 `json:"count,omitempty"`
	// Members are those of a struct or union, in order, base classes first.
	Members []Member `json:"members,omitempty"`
	// Values are those of an enum, in order.
	Values []EnumValue `json:"values,omitempty"`
	// Parameters are a function's. Variadic says that others may follow,
	// Unprototyped that the declaration says nothing of them (int f()).
	Parameters   []TypeID `json:"parameters,omitempty"`
	Variadic     bool     `json:"variadic,omitempty"`
	Unprototyped bool     `json:"unprototyped,omitempty"`
	// Incomplete says that the unit only declares the struct, union or enum.
	Incomplete bool `json:"incomplete,omitempty"`
	// Virtual says that a C++ class has a table of virtual functions, or a
	// virtual base class: Slots are its functions, by place in the table.
	Virtual bool     `json:"virtual,omitempty"`
	Slots   []string `json:"slots,omitempty"`
	// Cut says that limits kept the contents out: size and name alone are known.
	Cut bool `json:"cut,omitempty"`
}

// Member is one member of a struct, class or union, or a base class.
type Member struct {
	// Name is "" for an unnamed struct or union in another, and for a base class.
	Name string `json:"name,omitempty"`
	Type TypeID `json:"type"`
	// Offset is in bytes from the start of the struct. Of a bit-field it is that
	// of the byte with the lowest bit, Bit the place of that bit in the byte and
	// Bits its width.
	Offset uint64 `json:"offset,omitempty"`
	Bit    uint8  `json:"bit,omitempty"`
	Bits   uint64 `json:"bits,omitempty"`
	// Base says that it is a base class, VirtualBase that its offset is known
	// at run time only.
	Base        bool `json:"base,omitempty"`
	VirtualBase bool `json:"virtual_base,omitempty"`
}

// EnumValue is one name of an enum. Values above 1<<63-1 appear negative.
type EnumValue struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}
