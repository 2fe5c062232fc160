package elfinfo

// Comparison is what [CompareTypes] finds.
type Comparison struct {
	// Differences are what makes machine code for one type wrong for the
	// other, each one line for a person, in the order in which they are met:
	// "parameter 2: struct foo: member bar is at offset 16, not 24". The first
	// value is the replacement's, the second the original's.
	Differences []string
	// Unknown are the places where one side is not known, so that nothing is
	// said of them, in the same form.
	Unknown []string
}

// CompareTypes holds a type of a replacement against the type of the original
// in a shipped build: of a function, a variable, or a type that both declare.
// Every struct, union, enum and function that they reach is followed, also
// through pointers. It ignores what does not change machine code: names of
// parameters and of types, typedefs, const, volatile and restrict, an enum in
// place of an integer of its size, a signed integer in place of an unsigned one
// behind a pointer. Names and places of members do count.
func CompareTypes(original *Build, o TypeID, replacement *Build, r TypeID) Comparison {
	return Comparison{}
}
