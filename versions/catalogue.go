package versions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/versions/keyring"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// An offer is one package and where it can be had.
type offer struct {
	repo *rpmmd.Repository // nil if no repository has it any more
	name string            // of the repository
	keys *keyring.Keyring
	pkg  rpmmd.Package

	product  string
	priority int
	metadata []Layer // what proves the package's digest
	// others are where the same file can be had if it cannot be had here.
	others []offer
}

// shipped is one version of the package: its file, the candidates for its debug
// symbols (the same EVR may have been rebuilt; the build-id decides), and what
// the project has recorded of it.
type shipped struct {
	offer
	debug    []offer
	prior    []Locked
	products []string // sorted
}

// A catalogue is all that the repositories and the lock know.
type catalogue struct {
	versions []*shipped
}

// catalogue asks all repositories, and adds from the lock what they no longer have.
func (d *downloader) catalogue(ctx context.Context) (*catalogue, error) {
	packages, debugs, keys, err := d.askAll(ctx)
	if err != nil {
		return nil, err
	}
	c := new(catalogue)
	bySum := make(map[rpmmd.Checksum]*shipped)
	for _, o := range packages {
		v := bySum[o.pkg.Checksum]
		if v == nil { // the best repository that has it
			v = &shipped{offer: o}
			bySum[o.pkg.Checksum] = v
			c.versions = append(c.versions, v)
		} else {
			v.others = append(v.others, o)
		}
		v.ships(o.product)
	}
	d.addLocked(c, bySum, keys)
	for _, v := range c.versions {
		v.debug = lockedDebug(v, matchDebug(v.pkg.NEVRA, debugs), keys)
	}
	if len(c.versions) == 0 {
		return nil, fmt.Errorf("%s (%v): %w", strings.Join(d.req.Packages, ", "), d.req.Arches, ErrNoVersions)
	}
	return c, nil
}

// askAll asks all repositories for packages and debug packages, and returns
// them by priority, with the keys of all repositories.
func (d *downloader) askAll(ctx context.Context) (packages, debugs []offer, all *keyring.Keyring, err error) {
	all = new(keyring.Keyring)
	for _, r := range d.req.Repositories {
		keys, err := d.req.keyring(r)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("repository %s: %w: %w", r.Name, ErrKeyFile, err)
		}
		if err := d.checkKeys(r.Name, keys); err != nil {
			return nil, nil, nil, err
		}
		all.Merge(keys)
		offers, err := d.ask(ctx, r, keys)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, o := range offers {
			if contains(d.req.Packages, o.pkg.NEVRA.Name) {
				packages = append(packages, o)
			} else {
				debugs = append(debugs, o)
			}
		}
	}
	if err := d.checkAccepted(all); err != nil {
		return nil, nil, nil, err
	}
	byPriority(packages)
	byPriority(debugs)
	return packages, debugs, all, nil
}

// byPriority puts the repository first that packages are to be fetched from.
func byPriority(offers []offer) {
	slices.SortStableFunc(offers, func(a, b offer) int { return cmp.Compare(a.priority, b.priority) })
}

// ships notes that the version is part of a product.
func (v *shipped) ships(product string) {
	if i, known := slices.BinarySearch(v.products, product); !known {
		v.products = slices.Insert(v.products, i, product)
	}
}

// ask returns the packages and debug packages of one repository. Offline, what
// the lock says stands in for a repository that needs the network.
func (d *downloader) ask(ctx context.Context, r Repository, keys *keyring.Keyring) ([]offer, error) {
	repo, err := d.openRepository(r, keys)
	if err != nil {
		return nil, err
	}
	task := d.opts.Progress.Start("repository "+r.Name, 0)
	packages, err := repo.Packages(ctx, slices.Concat(d.req.Packages, d.req.DebugPackages), d.req.Arches)
	if errors.Is(err, ErrOffline) && d.lock != nil && !d.mustAsk {
		task.Done(nil)
		if err := d.hold(r, keys, rpmmd.Provenance{}, false); err != nil {
			return nil, err
		}
		return d.fromLock(repo, r, keys)
	}
	p, _ := repo.Provenance()
	if err == nil {
		err = d.hold(r, keys, p, true)
	} else {
		err = d.pinnedSigner(r.Name, err)
	}
	task.Done(err)
	if err != nil {
		return nil, err
	}
	layers := metadataLayers(p, r.UnsignedMetadata)
	offers := make([]offer, len(packages))
	for i, p := range packages {
		offers[i] = r.offer(repo, keys, p)
		offers[i].metadata = layers
	}
	return offers, nil
}

// fromLock makes offers of what the lock says of a repository.
func (d *downloader) fromLock(repo *rpmmd.Repository, r Repository, keys *keyring.Keyring) ([]offer, error) {
	var offers []offer
	for _, l := range d.lock.Builds {
		if l.Removed {
			continue
		}
		n, err := rpmfile.ParseNEVRA(l.NEVRA)
		if err != nil {
			return nil, err
		}
		if l.Repository == r.Name {
			offers = append(offers, r.offer(repo, keys, l.rpm(n)).lockedIn())
		}
		if l.DebugRPMSHA256 != "" && cmp.Or(l.DebugRepository, l.Repository) == r.Name {
			offers = append(offers, r.offer(repo, keys, l.debugRPM(n)).lockedIn())
		}
	}
	return offers, nil
}

// lockedIn says that nothing but the lock knows the package's digest.
func (o offer) lockedIn() offer {
	o.metadata = []Layer{{Of: LockFile, Proof: digestName(o.pkg.Checksum)}}
	return o
}

func (l Locked) rpm(n rpmfile.NEVRA) rpmmd.Package {
	return rpmmd.Package{NEVRA: n, Location: l.Location, Size: l.RPMSize, BuildTime: l.BuildTime,
		Checksum: rpmmd.Checksum{Type: "sha256", Value: l.RPMSHA256}}
}

// debugRPM is the package of debug symbols of the build n. Its name, which the
// lock has in the name of the file only, is one of several.
func (l Locked) debugRPM(n rpmfile.NEVRA) rpmmd.Package {
	n.Name += "-debuginfo"
	if named, err := rpmfile.ParseNEVRA(strings.TrimSuffix(path.Base(l.DebugLocation), ".rpm")); err == nil {
		n.Name = named.Name
	}
	return rpmmd.Package{NEVRA: n, Location: l.DebugLocation, Size: l.DebugRPMSize,
		Checksum: rpmmd.Checksum{Type: "sha256", Value: l.DebugRPMSHA256}}
}

// addLocked gives every version what the lock has of it, and adds those
// versions that have left the repositories. Anybody of the request's keys may
// have signed these: the repository itself may be gone.
func (d *downloader) addLocked(c *catalogue, bySum map[rpmmd.Checksum]*shipped, keys *keyring.Keyring) {
	if d.lock == nil {
		return
	}
	byNEVRA := make(map[string]*shipped) // for metadata with other digests
	for _, v := range c.versions {
		if v.pkg.Checksum.Type != "sha256" {
			byNEVRA[v.pkg.NEVRA.String()] = v
		}
	}
	for _, l := range d.lock.Builds {
		n, err := rpmfile.ParseNEVRA(l.NEVRA)
		if err != nil || !contains(d.req.Packages, n.Name) || !contains(d.req.Arches, n.Arch) {
			continue
		}
		p := l.rpm(n)
		v := bySum[p.Checksum]
		if same := byNEVRA[l.NEVRA]; v == nil && same != nil && same.pkg.BuildTime.Equal(l.BuildTime) {
			v = same // not one that was built again
		}
		if v == nil {
			v = &shipped{offer: offer{name: l.Repository, keys: keys, pkg: p}.lockedIn(), products: l.Products}
			bySum[p.Checksum] = v
			c.versions = append(c.versions, v)
		}
		v.prior = append(v.prior, l)
		if d.opts.Offline { // not every repository was asked
			for _, p := range l.Products {
				v.ships(p)
			}
		}
	}
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// lockedDebug adds to the debug packages that the repositories offer for a
// version those that the lock has: they may be in the store yet.
func lockedDebug(v *shipped, offered []offer, keys *keyring.Keyring) []offer {
	for _, l := range v.prior {
		known := slices.ContainsFunc(offered, func(o offer) bool { return o.pkg.Checksum.Value == l.DebugRPMSHA256 })
		if l.DebugRPMSHA256 != "" && !known {
			name := cmp.Or(l.DebugRepository, l.Repository)
			offered = append(offered, offer{name: name, keys: keys, pkg: l.debugRPM(v.pkg.NEVRA)}.lockedIn())
		}
	}
	return offered
}

// matchDebug returns the debug packages of the same EVR and architecture, that
// of the package itself first.
func matchDebug(n rpmfile.NEVRA, debugs []offer) []offer {
	var out []offer
	for _, o := range debugs {
		if m := o.pkg.NEVRA; rpmmd.Compare(n, m) == 0 && m.Arch == n.Arch {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b offer) int { return cmp.Compare(otherDebug(n, a), otherDebug(n, b)) })
	return out
}

// otherDebug is 1 for the debug package of another package, else 0.
func otherDebug(n rpmfile.NEVRA, o offer) int {
	if o.pkg.NEVRA.Name == n.Name+"-debuginfo" {
		return 0
	}
	return 1
}

// NewBuilds returns the packages that the repositories have and the project's
// lock lacks, oldest first. Only metadata is fetched: what is not in it (the
// library, its build-id) is empty. A package that was built again under its old
// name and version is new: its digest differs. Errors are those of Download,
// and ErrOffline where a repository may not be asked: the lock does not stand in.
func NewBuilds(ctx context.Context, req Request, opts Options) ([]Locked, error) {
	d, err := newDownloader(req, opts)
	if err != nil {
		return nil, err
	}
	d.mustAsk = true
	c, err := d.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	fresh := Lock{}
	for _, v := range c.versions {
		if len(v.prior) == 0 {
			fresh.Builds = append(fresh.Builds, Locked{
				NEVRA: v.pkg.NEVRA.String(), Arch: v.pkg.NEVRA.Arch, Repository: v.name, Location: v.pkg.Location, Products: v.products,
				RPMSHA256: v.pkg.Checksum.Value, RPMSize: v.pkg.Size,
				BuildTime: v.pkg.BuildTime, EndOfSupport: d.endOfSupport(v, v.pkg.BuildTime),
			})
		}
	}
	fresh.sort()
	return fresh.Builds, nil
}

// readProjectLock returns the project's lock, nil if there is none.
func readProjectLock(dir string) (*Lock, error) {
	lock, err := ReadLock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return lock, err
}
