package versions

import (
	"cmp"

	"github.com/lpbuild/lpbuild/versions/keyring"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// Limits are what a run asks of servers at most; the zero value is the defaults.
type Limits = rpmmd.Limits

// ErrCredentials: credentials in the environment or a netrc cannot be used.
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

func (r Repository) offer(repo *rpmmd.Repository, keys *keyring.Keyring, p rpmmd.Package) offer {
	return offer{repo: repo, name: r.Name, keys: keys, pkg: p, product: cmp.Or(r.Product, r.Name), priority: r.Priority}
}
