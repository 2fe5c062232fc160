package demo

import "time"

// A plan is what the outer half of the demo, which builds, tells the inner one,
// which installs. Paths are the same on both sides.
type plan struct {
	// Began is when the demo began.
	Began     time.Time `json:"began"`
	Witnesses []witness `json:"witnesses"`
	// Names are the live-patch packages.
	Names []string `json:"names"`
	// Base provides what the root has without a package; Runtime is lpbuild-runtime.
	Base    string `json:"base"`
	Runtime string `json:"runtime"`
	// Old and New are the RPMs of the two versions, in the order of Names.
	Old []string `json:"old"`
	New []string `json:"new"`
	// OldVersion and NewVersion are theirs.
	OldVersion string `json:"old_version"`
	NewVersion string `json:"new_version"`
	// Lpbuild and Lpctl are programs that no package owns.
	Lpbuild string `json:"lpbuild"`
	Lpctl   string `json:"lpctl"`
	// Dir is bound into the root, as is Bin, and Root the folder to mount it on.
	Dir  string `json:"dir"`
	Bin  string `json:"bin"`
	Root string `json:"root"`
}

// A witness is a process to run on one build.
type witness struct {
	// Package is the live-patch package that covers the build.
	Package string `json:"package"`
	NEVRA   string `json:"nevra"`
	BuildID string `json:"build_id"`
	Soname  string `json:"soname"`
	// Program is to be run, Library what it must have mapped.
	Program string   `json:"program"`
	Env     []string `json:"env"`
	Library string   `json:"library"`
	Threads int      `json:"threads"`
	// Functions are those that the live patches replace, as they are in the library.
	Functions []original `json:"functions"`
	// Old is what it answers unpatched, "" for anything; First and Second are
	// the answers of the two versions.
	Old    string `json:"old"`
	First  string `json:"first"`
	Second string `json:"second"`
}

// original is the code of a function in the library.
type original struct {
	Name    string `json:"name"`
	Address uint64 `json:"address"`
	Before  []byte `json:"before"`
	Bytes   []byte `json:"bytes"`
}

// An outcome is what the inner half answers.
type outcome struct {
	// Error is why the rest is missing, "" if all is well.
	Error   string      `json:"error,omitempty"`
	Install transaction `json:"install"`
	Upgrade transaction `json:"upgrade"`
	Erase   transaction `json:"erase"`
	// Answers are, by witness, the answers of its threads in short.
	Answers []history `json:"answers"`
}

// history is what a thread answered and how often: old, first, second, old.
type history struct {
	Texts [4]string `json:"texts"`
	Lines [4]int    `json:"lines"`
}

// A transaction is what rpm-helper reported of one call of rpm.
type transaction struct {
	// Words are by witness.
	Words []string `json:"words"`
	// Lines are those that rpm-helper printed, which count Others, too: what
	// else runs in the scratch root on a library that the packages cover.
	Lines  []string `json:"lines"`
	Others []string `json:"others"`
	// StoppedNS is the longest time for which threads of a witness were held.
	StoppedNS int64 `json:"stopped_ns"`
}
