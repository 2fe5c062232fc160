package dist

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/rpmpack"

	"github.com/lpbuild/lpbuild/rpmhook"
)

// RPM writes the binary RPM of the live patches in BuildDir into OutDir and
// returns its path: what rpmbuild makes of the source package, without
// rpmbuild. Every container is checked once more before it goes in; the error
// then wraps ErrContainer, or ErrNotMade if there is no manifest.
func RPM(ctx context.Context, p Package) (string, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return "", err
	}
	s, err := p.readSet()
	if err != nil {
		return "", err
	}
	changes, err := p.changes()
	if err != nil {
		return "", err
	}
	w, err := newWriter(p)
	if err != nil {
		return "", err
	}
	w.folder(p.setDir())
	for _, c := range s.containers {
		w.file(p.setDir()+"/"+c.Name, 0o644, c.Data)
	}
	w.file(p.setDir()+"/"+rpmhook.ManifestName, 0o644, s.manifest)
	w.scriptlets()
	w.changelog(append([]string{"version " + p.Version}, changes...))
	if err := w.require(p.requires()); err != nil {
		return "", err
	}
	return w.write(ctx)
}

// RPM header tags and flags that rpmpack has no name for (rpmtag.h, rpmds.h).
const (
	tagChangelogTime = 1080
	tagChangelogName = 1081
	tagChangelogText = 1082
	tagDirNames      = 1118
	tagEncoding      = 5062

	senseInterp    = 1 << 8
	sensePostTrans = 1 << 5
	sensePost      = 1 << 10
	sensePreUn     = 1 << 11
	sensePostUn    = 1 << 12
)

// A writer adds to rpmpack what that leaves to its caller.
type writer struct {
	p     Package
	rpm   *rpmpack.RPM
	names []string // of the files and folders
}

func newWriter(p Package) (*writer, error) {
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: p.Name, Version: p.Version, Release: p.Release, Epoch: rpmpack.NoEpoch, Arch: p.Arch,
		Summary: p.Summary, Description: p.Description, Licence: p.License, URL: p.URL,
		Vendor: p.Vendor, Packager: p.Packager, Group: "Unspecified",
		BuildHost: "lpbuild", BuildTime: p.Time, Compressor: p.Compress,
		Provides: rpmpack.Relations{{
			Name: p.Name + "(x86-64)", Version: p.Version + "-" + p.Release, Sense: rpmpack.SenseEqual,
		}},
	})
	if err != nil {
		return nil, err
	}
	r.AddCustomTag(tagEncoding, rpmpack.EntryString("utf-8"))
	w := &writer{p: p, rpm: r}
	w.features()
	return w, nil
}

// features requires of RPM what it must know to install the package.
func (w *writer) features() {
	const atMost = rpmpack.SenseRPMLIB | rpmpack.SenseLess | rpmpack.SenseEqual
	w.rpm.Requires = append(w.rpm.Requires,
		&rpmpack.Relation{Name: "rpmlib(CompressedFileNames)", Version: "3.0.4-1", Sense: atMost},
		&rpmpack.Relation{Name: "rpmlib(FileDigests)", Version: "4.6.0-1", Sense: atMost},
		&rpmpack.Relation{Name: "rpmlib(PayloadFilesHavePrefix)", Version: "4.0-1", Sense: atMost})
	payload := &rpmpack.Relation{Name: "rpmlib(PayloadIsXz)", Version: "5.2-1", Sense: atMost}
	if w.p.Compress == "zstd" {
		payload = &rpmpack.Relation{Name: "rpmlib(PayloadIsZstd)", Version: "5.4.18-1", Sense: atMost}
	}
	w.rpm.Requires = append(w.rpm.Requires, payload)
	if strings.Contains(w.p.Version, "~") {
		w.rpm.Requires = append(w.rpm.Requires, &rpmpack.Relation{Name: "rpmlib(TildeInVersions)", Version: "4.10.0-1", Sense: atMost})
	}
	if strings.Contains(w.p.Version, "^") {
		w.rpm.Requires = append(w.rpm.Requires, &rpmpack.Relation{Name: "rpmlib(CaretInVersions)", Version: "4.15.0-1", Sense: atMost})
	}
}

// folder and file add an entry with an absolute path, root's.
func (w *writer) folder(name string) { w.add(name, 0o040755, nil) }

func (w *writer) file(name string, mode uint, body []byte) { w.add(name, 0o100000|mode, body) }

// link adds a symbolic link.
func (w *writer) link(name, target string) { w.add(name, 0o120777, []byte(target)) }

func (w *writer) add(name string, mode uint, body []byte) {
	// The payload's names begin with "./", as rpmbuild writes them, so that
	// unpacking one with cpio stays below the current folder.
	w.rpm.AddFile(rpmpack.RPMFile{
		Name: "." + name, Mode: mode, Body: body, Owner: "root", Group: "root", MTime: uint32(w.p.Time.Unix()),
	})
	w.names = append(w.names, name)
}

// scriptlets adds the scriptlets, the shell that they run in and the runtime
// package that they call.
func (w *writer) scriptlets() {
	w.rpm.AddPostin(rpmhook.Post.Body(w.p.Name))
	w.rpm.AddPosttrans(rpmhook.PostTrans.Body(w.p.Name))
	w.rpm.AddPreun(rpmhook.PreUn.Body(w.p.Name))
	w.rpm.AddPostun(rpmhook.PostUn.Body(w.p.Name))
	w.rpm.Requires = append(w.rpm.Requires,
		&rpmpack.Relation{Name: "/bin/sh", Sense: senseInterp | sensePost},
		&rpmpack.Relation{Name: "/bin/sh", Sense: senseInterp | sensePostTrans},
		&rpmpack.Relation{Name: "/bin/sh", Sense: senseInterp | sensePreUn},
		&rpmpack.Relation{Name: "/bin/sh", Sense: senseInterp | sensePostUn},
		&rpmpack.Relation{Name: RuntimeName, Sense: sensePost},
		&rpmpack.Relation{Name: RuntimeName, Sense: sensePostTrans},
		&rpmpack.Relation{Name: RuntimeName, Sense: sensePreUn},
		&rpmpack.Relation{Name: RuntimeName, Sense: sensePostUn})
}

// require adds requirements in RPM's syntax.
func (w *writer) require(names []string) error {
	for _, name := range names {
		if err := w.rpm.Requires.Set(name); err != nil {
			return fmt.Errorf("%w: requirement %q: %w", ErrPackage, name, err)
		}
	}
	return nil
}

// changelog adds one entry. RPM dates entries at noon UTC.
func (w *writer) changelog(lines []string) {
	noon := w.p.Time.Truncate(24 * time.Hour).Add(12 * time.Hour)
	w.rpm.AddCustomTag(tagChangelogTime, rpmpack.EntryUint32([]uint32{uint32(noon.Unix())}))
	w.rpm.AddCustomTag(tagChangelogName, rpmpack.EntryStringSlice([]string{
		fmt.Sprintf("%s - %s-%s", w.p.Packager, w.p.Version, w.p.Release),
	}))
	text := "- " + strings.Join(lines, "\n- ")
	w.rpm.AddCustomTag(tagChangelogText, rpmpack.EntryStringSlice([]string{text}))
}

// folders are the header's list of folders, which rpmpack would fill with the
// "./" of the payload. Their order is rpmpack's own: that of the first file in
// each, the files being sorted by name.
func (w *writer) folders() []string {
	slices.Sort(w.names)
	var folders []string
	for _, name := range w.names {
		if dir := path.Dir(name) + "/"; !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	return folders
}

// sortRelations puts relations into the order that rpmbuild gives them.
func sortRelations(list rpmpack.Relations) {
	slices.SortFunc(list, func(a, b *rpmpack.Relation) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Sense, b.Sense), strings.Compare(a.Version, b.Version))
	})
}

// write finishes the package.
func (w *writer) write(ctx context.Context) (string, error) {
	w.rpm.AddCustomTag(tagDirNames, rpmpack.EntryStringSlice(w.folders()))
	sortRelations(w.rpm.Provides)
	sortRelations(w.rpm.Requires)
	out := w.p.file()
	err := writeWith(out, func(f io.Writer) error { return w.rpm.Write(contextWriter{ctx, f}) })
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(out), err)
	}
	return out, nil
}
