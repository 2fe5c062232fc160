package livepatch

// Container is a live-patch container as read from its file: an ET_DYN ELF
// file with .ulp, .ulp.rev and, if lpbuild made it, .lpbuild.
type Container struct {
	// Name is the file's name, for messages.
	Name string
	// Data is the whole file. ID is the SHA-256 of Data in hexadecimal: the
	// identity of the live patch.
	Data []byte
	ID   string
	// Apply is .ulp, Revert .ulp.rev (nil if missing).
	Apply  *Metadata
	Revert *Metadata
	// Comments is .ulp.comments without the final NUL, "" if missing.
	Comments string
	// Info is .lpbuild, nil for a container made by libpulp's packer.
	Info *Info
}

// References are the bug and CVE numbers of the container: those that .lpbuild
// lists or, in one made by libpulp's packer, those in the first 4096 bytes of
// .ulp.comments.
func (c *Container) References() []string {
	if c.Info != nil {
		return c.Info.References
	}
	return ScanReferences([]string{c.Comments[:min(len(c.Comments), maxLine)]})
}

// Metadata is the content of a .ulp or .ulp.rev section. All integers are
// little endian in the file; see docs/container-format.md for the layout.
type Metadata struct {
	// Type is 1 (apply) or 2 (revert).
	Type byte
	// PatchID is the first 16 bytes of the container's build-id and the MD4 of
	// the filled-in description.
	PatchID [32]byte
	// BuildID is the target's build-id (20 bytes), Target the base name of the target library.
	BuildID []byte
	Target  string
	// Units, Depends and References are present if Type is 1.
	Units      []MetadataUnit
	Depends    [][32]byte
	References []MetadataReference
}

// MetadataUnit is one function to replace.
type MetadataUnit struct {
	Old, New string
	// Address is st_value of Old in the target library.
	Address uint64
}

// MetadataReference is one variable of the container that receives the address
// of a private symbol of the target (TLS: module and offset, 16 bytes).
type MetadataReference struct {
	Target, Reference string
	// TargetOffset and PatchOffset are offsets from the load addresses of the
	// target library and of the container, in bytes.
	TargetOffset, PatchOffset uint64
	TLS                       bool
}
