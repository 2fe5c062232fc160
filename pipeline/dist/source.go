package dist

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// SourceFiles are the paths of a source package.
type SourceFiles struct {
	Tarball string
	Spec    string
	// Changes and Lint are what the Open Build Service wants beside the two.
	Changes string
	Lint    string
	// Multibuild lists the flavours; "" without shards.
	Multibuild string
}

// sourceEntries are the parts of a project that a build needs, in archive
// order. keys/ and versions.lock let whoever has the source package verify and
// download everything again.
var sourceEntries = []string{"keys", "livepatches", "lpbuild.yaml", "versions", "versions.lock"}

// needed are those without which nothing can be built.
var needed = map[string]bool{"livepatches": true, "lpbuild.yaml": true, "versions": true}

// Source writes the source package of the project into OutDir: an archive of
// sources, descriptions and version records, from which lpbuild make needs no
// network and no packages, the spec file, and what a build service wants. Hidden files,
// backups and documentation beside the project stay out; a symbolic link, a
// device or a binary among the sources is an error that wraps ErrSource.
//
// The archive before compression depends on the project alone. The compressed
// bytes are also the same wherever xz(1) is there, or wherever it is not.
func Source(ctx context.Context, p Package) (*SourceFiles, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return nil, err
	}
	d, err := p.specData()
	if err != nil {
		return nil, err
	}
	out := &SourceFiles{
		Tarball: filepath.Join(p.OutDir, p.Name+"-"+p.Version+".tar.xz"),
		Spec:    filepath.Join(p.OutDir, p.Name+".spec"),
		Changes: filepath.Join(p.OutDir, p.Name+".changes"),
		Lint:    filepath.Join(p.OutDir, p.Name+"-rpmlintrc"),
	}
	err = writeWith(out.Tarball, func(w io.Writer) error {
		return compressXZ(ctx, w, p.archive)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", out.Tarball, err)
	}
	texts := []struct{ template, file string }{
		{"package.spec", out.Spec}, {"package.changes", out.Changes}, {"package-rpmlintrc", out.Lint},
	}
	multibuild := filepath.Join(p.OutDir, "_multibuild")
	if p.Shards > 0 {
		out.Multibuild = multibuild
		texts = append(texts, struct{ template, file string }{"_multibuild", multibuild})
	} else if err := os.Remove(multibuild); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // of an earlier run: its flavours are no longer in the spec file
	}
	for _, t := range texts {
		text, err := render(t.template, d)
		if err != nil {
			return nil, err
		}
		if err := writeFile(t.file, text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// archive writes the tar archive.
func (p Package) archive(w io.Writer) error {
	root, err := os.OpenRoot(p.ProjectDir)
	if err != nil {
		return err
	}
	defer root.Close()
	a := archiver{tar: tar.NewWriter(w), p: p, prefix: p.Name + "-" + p.Version}
	if err := a.header(".", fs.ModeDir, 0); err != nil {
		return err
	}
	for _, name := range sourceEntries {
		_, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) && !needed[name] {
			continue
		}
		if err != nil {
			return err
		}
		// WalkDir goes in lexical order.
		err = fs.WalkDir(root.FS(), name, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return a.add(root, name, e)
		})
		if err != nil {
			return err
		}
	}
	return a.tar.Close()
}

type archiver struct {
	tar    *tar.Writer
	p      Package
	prefix string
}

func (a *archiver) add(root *os.Root, name string, e fs.DirEntry) error {
	switch base := e.Name(); {
	case strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~"):
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	case e.IsDir():
		return a.header(name, fs.ModeDir, 0)
	case !e.Type().IsRegular():
		return fmt.Errorf("%s: %w: %v", name, ErrSource, e.Type())
	}
	data, err := root.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(data, []byte("\x7fELF")) || bytes.HasPrefix(data, []byte("!<arch>\n")) {
		return fmt.Errorf("%s: %w: compiled code", name, ErrSource)
	}
	if err := a.header(name, 0, int64(len(data))); err != nil {
		return err
	}
	_, err = a.tar.Write(data)
	return err
}

// header writes the entry of a file or folder, with nothing in it that differs
// between two checkouts.
func (a *archiver) header(name string, kind fs.FileMode, size int64) error {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: path.Join(a.prefix, name), Mode: 0o644, Size: size,
		ModTime: a.p.Time, Uname: "root", Gname: "root",
	}
	if kind.IsDir() {
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, h.Name+"/"
	}
	return a.tar.WriteHeader(h)
}
