package livepatch

// InfoFormat is the version of the .lpbuild section that this code writes.
const InfoFormat = 1

// Info is the content of a container's .lpbuild section: what libpulp's .ulp
// has no room for. Its byte layout is in docs/container-format.md.
type Info struct {
	// Format is InfoFormat.
	Format int `json:"format"`
	// Set and SetVersion are the project's name and version, Patch the names of
	// the live patches in this container (folders below livepatches/), with
	// commas between them.
	Set        string `json:"set"`
	SetVersion string `json:"set_version"`
	Patch      string `json:"patch"`
	// NEVRAs are the packages that ship the target build, sorted. Library is
	// its path in them, Soname its DT_SONAME, BuildID its GNU build-id in
	// lower-case hexadecimal, of any length.
	NEVRAs  []string `json:"nevras"`
	Library string   `json:"library"`
	Soname  string   `json:"soname"`
	BuildID string   `json:"build_id"`
	// Patches are the live patches one by one, in the order of their functions.
	// It may be empty; if not, each function's Patch is one of them.
	Patches []InfoPatch `json:"patches,omitempty"`
	// Functions are the replaced functions in the order of the description.
	Functions []Function `json:"functions"`
	// Constructors: what dlopen would call when it loads the container (DT_INIT,
	// DT_INIT_ARRAY) is called when it is applied; without it, a container that
	// has such functions is refused. See docs/container-format.md.
	Constructors bool `json:"constructors,omitempty"`
	// Comments are all "!" lines, References the bug and CVE numbers in them.
	Comments   []string `json:"comments,omitempty"`
	References []string `json:"references,omitempty"`
	// Toolchain is one line: compiler and linker with their versions.
	Toolchain string `json:"toolchain"`
}

// InfoPatch is one live patch of those that a container holds.
type InfoPatch struct {
	// Name is the folder's below livepatches/, References the bug and CVE
	// numbers in the comments of its own description.
	Name       string   `json:"name"`
	References []string `json:"references,omitempty"`
}

// Function is one replacement: what it replaces and what the original was.
type Function struct {
	// Old is the original's name with an optional "@source.c", New the
	// replacement's dynamic symbol in the container.
	Old string `json:"old"`
	New string `json:"new"`
	// Address is the original's st_value, Size its length in bytes, SHA256 the
	// digest of its bytes in hexadecimal: what memory must hold before a detour
	// is installed.
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
	SHA256  string `json:"sha256"`
	// Entry is "padded" or "stock"; Offset and Length are where the jump goes
	// and how many bytes it replaces (see elfinfo.Entry).
	Entry  string `json:"entry"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	// What may unwind through the original (see elfinfo.Unwind).
	Personality  bool `json:"personality,omitempty"`
	CallsBack    bool `json:"calls_back,omitempty"`
	Cancellation bool `json:"cancellation,omitempty"`
	// Patch is the live patch that it belongs to, "" if the container does not
	// say.
	Patch string `json:"patch,omitempty"`
}
