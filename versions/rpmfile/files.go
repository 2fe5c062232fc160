package rpmfile

import (
	"fmt"
	"math"
	"path"
	"strings"
)

// Tags of the file list (rpmTag): parallel arrays.
const (
	tagFileSizes     = 1028
	tagFileModes     = 1030
	tagFileLinkTos   = 1036
	tagFileFlags     = 1037
	tagOldFilenames  = 1027
	tagFileInodes    = 1096
	tagFileDevices   = 1095
	tagDirIndexes    = 1116
	tagBasenames     = 1117
	tagDirnames      = 1118
	tagLongFileSizes = 5008
)

const (
	flagGhost = 1 << 6 // RPMFILE_GHOST: not in the payload
	// maxUnpacked bounds the sum of all file sizes.
	maxUnpacked = 16 << 30
	// maxFiles bounds the file list; rpm's own limit is that of maxValues.
	maxFiles = 1 << 20
)

// The file type bits of st_mode.
const (
	modeType    = 0o170000
	modeRegular = 0o100000
	modeDir     = 0o040000
	modeSymlink = 0o120000
	modeSetID   = 0o006000
)

// A File is one entry of the header's file list.
type File struct {
	// Path is absolute and clean.
	Path string
	// Mode holds st_mode: type and permission bits.
	Mode uint32
	// Size is the file's length in bytes; of a hard link, too.
	Size int64
	// Link is a symlink's target, as it stands.
	Link string
	// Ghost files belong to the package but are not in its payload.
	Ghost bool
	// link identifies a file among its hard links.
	link hardLink
}

type hardLink struct{ device, inode uint64 }

// Regular says that it is a regular file.
func (f *File) Regular() bool { return f.Mode&modeType == modeRegular }

// Symlink says that it is a symlink.
func (f *File) Symlink() bool { return f.Mode&modeType == modeSymlink }

// Dir says that it is a directory.
func (f *File) Dir() bool { return f.Mode&modeType == modeDir }

// Files returns the header's file list in its order. The error wraps
// ErrFormat or ErrUnsafePath.
func (p *Package) Files() ([]File, error) {
	files, err := p.hdr.files()
	if err != nil {
		return nil, fmt.Errorf("%s: file list: %w", p.name, err)
	}
	return files, nil
}

func (h *header) files() ([]File, error) {
	names, err := h.fileNames()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	files := make([]File, len(names))
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if files[i].Path, err = safePath(name); err != nil {
			return nil, err
		}
		if seen[files[i].Path] {
			return nil, fmt.Errorf("%w: %s is listed twice", ErrFormat, name)
		}
		seen[files[i].Path] = true
	}
	return files, h.fileAttributes(files)
}

// fileNames joins base names to their directories.
func (h *header) fileNames() ([]string, error) {
	if !h.has(tagBasenames) {
		return h.strings(tagOldFilenames)
	}
	base, err := h.strings(tagBasenames)
	if err != nil {
		return nil, err
	}
	dirs, err := h.strings(tagDirnames)
	if err != nil {
		return nil, err
	}
	index, err := h.numbers(tagDirIndexes)
	if err != nil {
		return nil, err
	}
	if len(index) != len(base) || len(base) > maxFiles {
		return nil, fmt.Errorf("%w: %d files, %d directory indexes", ErrFormat, len(base), len(index))
	}
	names := make([]string, len(base))
	for i, b := range base {
		if index[i] >= uint64(len(dirs)) {
			return nil, fmt.Errorf("%w: file %d has directory %d of %d", ErrFormat, i, index[i], len(dirs))
		}
		names[i] = dirs[index[i]] + b
		if len(names[i]) > 4096 {
			return nil, fmt.Errorf("%w: file name of %d bytes", ErrFormat, len(names[i]))
		}
	}
	return names, nil
}

func (h *header) fileAttributes(files []File) error {
	sizeTag := uint32(tagFileSizes)
	if h.has(tagLongFileSizes) {
		sizeTag = tagLongFileSizes
	}
	columns := make(map[uint32][]uint64)
	for _, c := range []struct {
		tag      uint32
		optional bool
	}{{sizeTag, false}, {tagFileModes, false}, {tagFileFlags, true}, {tagFileInodes, true}, {tagFileDevices, true}} {
		v, err := h.numbers(c.tag)
		if err != nil {
			return err
		}
		if len(v) != len(files) && (!c.optional || len(v) != 0) {
			return fmt.Errorf("%w: %d files, but %d values of tag %d", ErrFormat, len(files), len(v), c.tag)
		}
		if len(v) == 0 {
			v = make([]uint64, len(files))
		}
		columns[c.tag] = v
	}
	links, err := h.strings(tagFileLinkTos)
	if err != nil {
		return err
	}
	if len(links) == 0 {
		links = make([]string, len(files))
	}
	if len(links) != len(files) {
		return fmt.Errorf("%w: %d files, but %d link targets", ErrFormat, len(files), len(links))
	}
	return fillFiles(files, columns, sizeTag, links)
}

func fillFiles(files []File, columns map[uint32][]uint64, sizeTag uint32, links []string) error {
	var total uint64
	for i := range files {
		f := &files[i]
		f.Mode = uint32(columns[tagFileModes][i] & 0xffff)
		f.Ghost = columns[tagFileFlags][i]&flagGhost != 0
		f.link = hardLink{columns[tagFileDevices][i], columns[tagFileInodes][i]}
		f.Link = links[i]
		size := columns[sizeTag][i]
		if size > math.MaxInt64 {
			return fmt.Errorf("%w: %s: size %d", ErrFormat, f.Path, size)
		}
		f.Size = int64(size)
		if f.Regular() && !f.Ghost {
			if total += size; total > maxUnpacked {
				return fmt.Errorf("%w: unpacks to more than %d bytes", ErrFormat, int64(maxUnpacked))
			}
		}
	}
	return nil
}

// safePath makes an absolute clean path of a name in a package. "./x", "/x"
// and "x" are the same file: below the root that the package is unpacked to.
func safePath(name string) (string, error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%w: %q", ErrUnsafePath, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: %q", ErrUnsafePath, name)
		}
	}
	return path.Clean("/" + name), nil
}

// maxFollow is the number of symlinks followed, as Linux has it.
const maxFollow = 40

// Resolve follows the package's own symlinks from name, which is absolute, and
// returns the path of what it leads to. Symlinks in directory parts are
// followed, too; as in a chroot, ".." at the root stays there. The error wraps
// ErrNotFound if what it leads to is not in the package, ErrUnsafePath if the
// links go round.
func Resolve(files []File, name string) (string, error) {
	links := make(map[string]string)
	exists := make(map[string]bool, len(files))
	for i := range files {
		exists[files[i].Path] = true
		if files[i].Symlink() {
			links[files[i].Path] = files[i].Link
		}
	}
	at, followed := "/", 0
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		target, isLink := links[next]
		if !isLink {
			at = next
			continue
		}
		if followed++; followed > maxFollow {
			return "", fmt.Errorf("%s: %w: too many symlinks", name, ErrUnsafePath)
		}
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	if !exists[at] {
		return "", fmt.Errorf("%s: %w: it leads to %s", name, ErrNotFound, at)
	}
	return at, nil
}
