package builder

// The names of the checks.
const (
	checkReplacement   = "replacement-exported"
	checkFunction      = "function-exists"
	checkUnique        = "function-unique"
	checkLivepatchable = "function-livepatchable"
	checkIndirect      = "function-not-indirect"
	checkReference     = "reference-exists"
	checkRefKind       = "reference-kind"
	checkRefType       = "reference-type"
	checkOverlap       = "no-overlap"
	checkSymbols       = "no-symbol-conflict"
	checkPrototype     = "prototype"
	checkLayout        = "struct-layout"
	checkInlined       = "not-inlined"
	checkClones        = "no-clones"
	checkVariants      = "ifunc-variants"
	checkDebug         = "debug-information"
	checkImport        = "imports-exist"
	checkVersion       = "symbol-versions"
	checkText          = "no-text-relocations"
	checkTLS           = "no-tls"
	checkIFUNC         = "no-ifunc"
	checkStack         = "no-executable-stack"
	checkStart         = "no-constructors"
)

// rules is the table, in the order in which the checks are made. Texts are for an author of live patches who has just
// been refused.
var rules = []Rule{
	{Name: checkReplacement, Severity: Refuse,
		Text: "the source defines and exports each replacement that the description names",
		Why: "A detour leads to a dynamic symbol of the container. A static or hidden function has none. Take \"static\" away, or\n" +
			"correct the name in the description."},
	{Name: checkFunction, Severity: Refuse,
		Text: "each function to replace exists in the build",
		Why: "Nothing can be patched where the function is missing. Perhaps it has another name in these versions, came or went\n" +
			"with a release, or was inlined everywhere. Restrict the patch to the versions that have it (versions: in\n" +
			"lpbuild.yaml), or write a second live patch for the others."},
	{Name: checkUnique, Severity: Refuse,
		Text: "each name of the description means one symbol of the build",
		Why: "Several files of a library may each have a static function of one name. lpbuild never guesses: write NAME@FILE.c.\n" +
			"The message lists the files."},
	{Name: checkLivepatchable, Severity: Refuse,
		Text: "each function to replace begins with padding, or with instructions that can be moved to make room for a jump",
		Why: "A detour takes 5 bytes of an ordinary function (2 of one with padding). Shorter functions, branches into the first\n" +
			"bytes and instructions that mean something else elsewhere stand in its way. Replace the callers instead."},
	{Name: checkIndirect, Severity: Refuse,
		Text: "no function to replace is an indirect one (IFUNC)",
		Why: "The symbol of an indirect function is a resolver that runs once, when the process starts. Name the implementations\n" +
			"that it chooses from, all of them."},
	{Name: checkReference, Severity: Refuse,
		Text: "each private variable or function that the description refers to exists in the build",
		Why:  "The container gets its address when it is applied. Restrict the patch to the versions that have it, or do without."},
	{Name: checkRefKind, Severity: Refuse,
		Text: "what the description calls thread-local (#%) is thread-local in the build, and nothing else is",
		Why:  "The address of a thread-local variable is another one in each thread. Write #% for it, and # for all else."},
	{Name: checkRefType, Severity: Refuse,
		Text: "each reference is a pointer to what the build has under that name: a function or data, of the size and type there",
		Why: "Reading a variable by another size or layout reads its neighbours. Declare the reference as a pointer to the type\n" +
			"that the build's debug information gives; where it changed between versions, use defines: in lpbuild.yaml.",
		Waive: "the replacement uses only the part of the variable that is alike in all builds"},
	{Name: checkOverlap, Severity: Refuse,
		Text: "no two live patches, and no two lines of one, replace the same function",
		Why: "Names can be aliases, and a library's build can fold equal functions into one. Make one live patch of the two; it\n" +
			"has to do what both do."},
	{Name: checkSymbols, Severity: Refuse,
		Text: "no two live patches define one global symbol, fill one variable or take each other's for the library's",
		Why:  "All live patches of a build are in one container. Make helpers static, or give them names of their own."},
	{Name: checkDebug, Severity: Warn,
		Text: "the build has debug information",
		Why: "Without it nobody can tell whether prototypes and layouts are right and where copies of a function were inlined: the\n" +
			"checks prototype, struct-layout, reference-type, not-inlined and no-clones have little to say about such a build. Add\n" +
			"the repository with the debug symbols, or a debuginfod server, and run lpbuild download again."},
	{Name: checkPrototype, Severity: Refuse,
		Text: "each replacement has the prototype of the original: parameters, result, and the layout of each struct they reach",
		Why: "Callers were compiled for the original. A parameter too many is whatever a register held; a struct member elsewhere\n" +
			"is other data. Declare what this build declares; where it changed between versions, use versions: or defines:.",
		Waive: "the difference is in a part that the replacement never touches"},
	{Name: checkLayout, Severity: Refuse,
		Text: "each struct, union and enum that the replacement declares by itself has the layout that the build has",
		Why: "A private structure is copied into a live patch by hand, and changes with any release of the library. Correct the\n" +
			"declaration, by version if need be (defines:), or compile with the headers of the build (devel:).",
		Waive: "it has the name of one of the library's by chance, or differs in what the replacement never touches"},
	{Name: checkInlined, Severity: Refuse,
		Text: "no function that stays as it is holds an inlined copy of a replaced one",
		Why: "The compiler has copied the function into its callers, and these copies keep the old code. Replace the callers that\n" +
			"the message names as well.",
		Waive: "the fix does not matter to the callers that are named"},
	{Name: checkClones, Severity: Refuse,
		Text: "no copy of a replaced function that the compiler made (.constprop, .isra, .part, …) stays as it is",
		Why: "The compiler has made a special copy of the function for some of its callers, which keep calling the old code.\n" +
			"Replace the copy as well: the description can name it.",
		Waive: "the fix does not matter to the callers of the copy"},
	{Name: checkVariants, Severity: Refuse,
		Text: "if one implementation of an indirect function (IFUNC) is replaced, all are",
		Why: "Which implementation a process uses depends on the processor. On another one it is one that keeps the old code.\n" +
			"Replace all that the message names.",
		Waive: "the other implementations do not have the defect"},
	{Name: checkImport, Severity: Refuse,
		Text: "each symbol that the replacement uses exists wherever the build runs",
		Why: "Nothing is loaded into a process for a live patch: what it calls must be there, in the library itself or in one that\n" +
			"it needs. A private symbol of the library takes a reference (#) in the description."},
	{Name: checkVersion, Severity: Refuse,
		Text: "no symbol is used in a version (GLIBC_2.38) that the build does not have",
		Why: "Such a version does not exist in the process. It comes from a .symver directive in the source; without one, lpbuild\n" +
			"takes the version that the build has."},
	{Name: checkText, Severity: Refuse,
		Text: "the container has no relocation in read-only memory",
		Why: "Code that has to be changed before it can run would have to be writable in the process. It comes from assembly that\n" +
			"is not position independent."},
	{Name: checkTLS, Severity: Refuse,
		Text: "the container has no thread-local variables of its own",
		Why:  "There is no room for them in threads that run already. Use the library's, by a reference (#%), or a table by thread id."},
	{Name: checkIFUNC, Severity: Refuse,
		Text: "the container defines no indirect function (IFUNC)",
		Why:  "Its resolver would have to run before the live patch. Choose when the function is called."},
	{Name: checkStack, Severity: Refuse,
		Text: "the container asks for no executable stack",
		Why: "It comes from nested functions whose address is taken, or from assembly without .note.GNU-stack. No process gets one\n" +
			"for a live patch."},
	{Name: checkStart, Severity: Warn,
		Text: "the container has no constructors or destructors",
		Why: "The injector runs none unless the container asks for it, and processes may refuse it. Static objects of C++ with a\n" +
			"constructor bring one along: make them local to the function that uses them, or plain data."},
}
