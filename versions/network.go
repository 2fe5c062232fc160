package versions

import (
	"cmp"
	"context"
	"errors"

	"github.com/lpbuild/lpbuild/versions/keyring"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// Limits are what a run asks of servers at most; the zero value is the defaults.
type Limits = rpmmd.Limits

// ErrCredentials says that credentials in the environment or a netrc cannot be used.
var ErrCredentials = rpmmd.ErrCredentials

// openRepository prepares a repository of the request. All share the limits.
func (d *downloader) openRepository(r Repository, keys *keyring.Keyring) (*rpmmd.Repository, error) {
	local := func(address string) string {
		if address == "" {
			return ""
		}
		return d.req.url(address)
	}
	return rpmmd.Open(rpmmd.Source{
		Name: r.Name, URL: local(r.URL), Mirrorlist: local(r.Mirrorlist), Metalink: local(r.Metalink),
		Keys: keys, Unsigned: r.UnsignedMetadata, CA: local(r.CA),
	}, rpmmd.Options{
		Cache: d.store.metadata(), Offline: d.opts.Offline, Network: d.opts.network, Log: d.opts.Log,
	})
}

// fetch returns the path of a package file in the store, and its SHA-256: from
// the best repository that has it, or another one with the same file. Who must
// have signed the package does not depend on that.
func (d *downloader) fetch(ctx context.Context, o offer, task Task) (name, sum string, err error) {
	name, sum, err = d.store.rpm(ctx, o.repo, o.pkg, task.Add)
	for _, other := range o.others {
		if err == nil || ctx.Err() != nil {
			break
		}
		d.opts.Log.Warn("package is fetched from another repository", "package", o.pkg.NEVRA.String(),
			"repository", o.name, "other", other.name, "reason", err)
		var oerr error
		if name, sum, oerr = d.store.rpm(ctx, other.repo, other.pkg, task.Add); oerr == nil {
			return name, sum, nil
		}
		err = errors.Join(err, oerr)
	}
	return name, sum, err
}

func (r Repository) offer(repo *rpmmd.Repository, keys *keyring.Keyring, p rpmmd.Package) offer {
	return offer{repo: repo, name: r.Name, keys: keys, pkg: p, product: cmp.Or(r.Product, r.Name), priority: r.Priority}
}
