package versions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// The headers of a project are below versions/headers/:
//
//	index.json           which packages they are of
//	trees/DIGEST/usr/include/…
//
// where DIGEST is the SHA-256 over the names and digests of the files, so that
// versions with the same headers share a tree.
const (
	headersDir    = "headers"
	headersIndex  = "index.json"
	headersFormat = 1
	includeDir    = "usr/include"

	headerTrees kind = "headers" // in the store

	maxHeaders    = 1 << 15   // files of a tree
	maxHeaderSize = 256 << 20 // bytes of a tree
)

// Headers are the headers that a project has of packages with the same version
// as its builds.
type Headers struct {
	dir      string
	packages map[string]headerPackage // by NEVRA
}

// headerPackage is one row of index.json.
type headerPackage struct {
	NEVRA     string `json:"nevra"`
	RPMSHA256 string `json:"rpm_sha256"`
	SignedBy  string `json:"signed_by"`
	Tree      string `json:"tree"`
}

type headerIndex struct {
	Format   int             `json:"format"`
	Packages []headerPackage `json:"packages"`
}

// ReadHeaders reads the index of a project's headers; none is an empty one.
func ReadHeaders(projectDir string) (*Headers, error) {
	h := &Headers{dir: filepath.Join(projectDir, RecordsDir, headersDir), packages: map[string]headerPackage{}}
	name := filepath.Join(h.dir, headersIndex)
	data, err := readFile(name, maxLock)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	var index headerIndex
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if index.Format != headersFormat {
		return nil, fmt.Errorf("%s: format %d, this program reads %d", name, index.Format, headersFormat)
	}
	for _, p := range index.Packages {
		if !isSHA256(p.Tree) {
			return nil, fmt.Errorf("%s: %w: tree %q", name, ErrUnsafePath, p.Tree)
		}
		h.packages[p.NEVRA] = p
	}
	return h, nil
}

// Include returns the absolute path of the headers of the package called devel
// in the version and architecture of the package nevra. The error wraps
// ErrNotInStore if the project has none.
func (h *Headers) Include(devel, nevra string) (string, error) {
	wanted, err := develOf(devel, nevra)
	if err != nil {
		return "", err
	}
	p, ok := h.packages[wanted]
	if !ok {
		return "", fmt.Errorf("headers of %s: %w", wanted, ErrNotInStore)
	}
	dir, err := filepath.Abs(filepath.Join(h.dir, "trees", p.Tree, includeDir))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("headers of %s: %w: %w", wanted, ErrNotInStore, err)
	}
	return dir, nil
}

// develOf is the NEVRA of the package devel in the version of another package.
func develOf(devel, nevra string) (string, error) {
	n, err := rpmfile.ParseNEVRA(nevra)
	n.Name = devel
	return n.String(), err
}

// DownloadHeaders fetches, for every locked build, the packages called devel in
// the very version of the build, verifies them as those of the libraries, and
// keeps their headers in the project. A version that has no such package is
// left out, with a warning: whatever needs the headers says so.
func DownloadHeaders(ctx context.Context, req Request, devel []string, opts Options) error {
	d, err := newDownloader(req, opts)
	if err != nil {
		return err
	}
	h, err := ReadHeaders(req.ProjectDir)
	if err != nil {
		return err
	}
	wanted, missing, err := d.wantedHeaders(h, devel)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		offers, err := d.develOffers(ctx, devel)
		if err != nil {
			return err
		}
		for _, nevra := range missing {
			i := slices.IndexFunc(offers, func(o offer) bool { return o.pkg.NEVRA.String() == nevra })
			if i < 0 {
				d.opts.Log.Warn("no repository has the headers", "package", nevra)
				continue
			}
			p, err := d.headers(ctx, offers[i], h)
			if err != nil {
				return fmt.Errorf("%s: %w", nevra, err)
			}
			h.packages[nevra] = p
		}
	}
	return h.write(wanted)
}

// wantedHeaders are the packages that the locked builds want, and those of them
// that the project lacks.
func (d *downloader) wantedHeaders(h *Headers, devel []string) (wanted map[string]bool, missing []string, err error) {
	wanted = map[string]bool{}
	if d.lock == nil {
		return wanted, nil, nil
	}
	for _, l := range d.lock.Builds {
		for _, name := range devel {
			nevra, err := develOf(name, l.NEVRA)
			if err != nil {
				return nil, nil, err
			}
			if wanted[nevra] {
				continue
			}
			wanted[nevra] = true
			if _, err := h.Include(name, l.NEVRA); err != nil {
				missing = append(missing, nevra)
			}
		}
	}
	return wanted, missing, nil
}

// develOffers asks all repositories for the packages of those names.
func (d *downloader) develOffers(ctx context.Context, names []string) ([]offer, error) {
	var all []offer
	for _, r := range d.req.Repositories {
		keys, err := d.req.keyring(r)
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w: %w", r.Name, ErrKeyFile, err)
		}
		if err := d.checkKeys(r.Name, keys); err != nil {
			return nil, err
		}
		repo, err := d.openRepository(r, keys)
		if err != nil {
			return nil, err
		}
		packages, err := repo.Packages(ctx, names, d.req.Arches)
		if err != nil {
			return nil, d.pinnedSigner(r.Name, err)
		}
		p, _ := repo.Provenance()
		if err := d.hold(r, keys, p, true); err != nil {
			return nil, err
		}
		for _, pkg := range packages {
			o := r.offer(repo, keys, pkg)
			o.metadata = metadataLayers(p, r.UnsignedMetadata)
			all = append(all, o)
		}
	}
	byPriority(all)
	return all, nil
}

// headers verifies a package and copies its headers into the project.
func (d *downloader) headers(ctx context.Context, o offer, h *Headers) (headerPackage, error) {
	task := d.opts.Progress.Start(o.pkg.NEVRA.String(), o.pkg.Size)
	p, err := d.open(ctx, o, task)
	task.Done(err)
	if err != nil {
		return headerPackage{}, err
	}
	defer p.Close()
	isHeader := func(f *rpmfile.File) bool { return strings.HasPrefix(f.Path, "/"+includeDir+"/") }
	root, err := d.store.tree(ctx, headerTrees, p.Package, p.sum, isHeader, nil)
	if err != nil {
		return headerPackage{}, err
	}
	tree, err := h.keep(root)
	return headerPackage{NEVRA: o.pkg.NEVRA.String(), RPMSHA256: p.sum, SignedBy: p.signedBy, Tree: tree}, err
}

// keep copies the headers of an unpacked package into the project and returns
// the name of the tree.
func (h *Headers) keep(unpacked string) (tree string, err error) {
	root, err := os.OpenRoot(unpacked)
	if err != nil {
		return "", err
	}
	defer root.Close()
	trees := filepath.Join(h.dir, "trees")
	if err := os.MkdirAll(trees, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(trees, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if tree, err = copyHeaders(root, tmp); err != nil {
		return "", err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	err = os.Rename(tmp, filepath.Join(trees, tree))
	if errors.Is(err, fs.ErrExist) { // another version has the same
		err = nil
	}
	return tree, err
}

// copyHeaders copies the files below usr/include to the folder to and returns
// the digest of them all. A link inside the package becomes a file; one that
// leads elsewhere, or to a folder, is left out.
func copyHeaders(root *os.Root, to string) (string, error) {
	h := sha256.New()
	var files, size int64
	err := fs.WalkDir(root.FS(), includeDir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := root.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			return nil //nolint:nilerr // a link to another package
		}
		files++
		if size += info.Size(); files > maxHeaders || size > maxHeaderSize {
			return fmt.Errorf("more than %d headers or %d bytes of them: %w", maxHeaders, maxHeaderSize, rpmfile.ErrFormat)
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(io.LimitReader(f, info.Size()))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(data))
		file := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, data, 0o644) //nolint:gosec // everybody may read headers
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the package has nothing in /%s: %w", includeDir, ErrNoLibrary)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// write writes the index with the wanted packages, then removes the trees that
// it does not name.
func (h *Headers) write(wanted map[string]bool) error {
	index := headerIndex{Format: headersFormat, Packages: []headerPackage{}}
	trees := map[string]bool{}
	for nevra, p := range h.packages {
		if wanted[nevra] {
			index.Packages = append(index.Packages, p)
			trees[p.Tree] = true
		}
	}
	slices.SortFunc(index.Packages, func(a, b headerPackage) int { return cmp.Compare(a.NEVRA, b.NEVRA) })
	data, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.dir, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(h.dir, headersIndex), append(data, '\n')); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(h.dir, "trees"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !trees[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(h.dir, "trees", e.Name())))
		}
	}
	return err
}
