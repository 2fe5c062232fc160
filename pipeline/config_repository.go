package pipeline

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/versions"
)

// Repository is one source of packages: of exactly one of URL, Mirrorlist and
// Metalink, which are http, https or file, or paths relative to the project.
// Credentials are never here: docs/repositories.md says where they are.
type Repository struct {
	// Name is for messages and the lock (default: the address).
	Name string `yaml:"name"`
	// Product is what the builds ship in (default: Name). Several repositories
	// make one product.
	Product string `yaml:"product"`
	// URL is a folder with repodata/ or, on this machine, simply with RPMs.
	URL string `yaml:"url"`
	// Mirrorlist is a list of such folders with the same content, Metalink one
	// that also says what repomd.xml they should have.
	Mirrorlist string `yaml:"mirrorlist"`
	Metalink   string `yaml:"metalink"`
	// Priority decides where a package is fetched that several repositories
	// have: the lowest is first, as in zypp and dnf (default: 99).
	Priority int `yaml:"priority"`
	// Keys are the files of the OpenPGP keys to trust, relative to the project.
	Keys []string `yaml:"keys"`
	// CA is a PEM file with the authorities that sign the server's TLS
	// certificate, relative to the project (default: the system's).
	CA string `yaml:"ca"`
	// UnsignedMetadata accepts a repository that has no repomd.xml.asc. Its
	// packages are verified by their own signatures all the same.
	UnsignedMetadata bool `yaml:"unsigned_metadata"`
}

const (
	// defaultPriority is that of zypp and dnf.
	defaultPriority = 99
	maxPriority     = 200 // zypp's
)

func (r Repository) addresses() map[string]string {
	all := map[string]string{"url": r.URL, "mirrorlist": r.Mirrorlist, "metalink": r.Metalink}
	for key, address := range all {
		if address == "" {
			delete(all, key)
		}
	}
	return all
}

func (r *Repository) setDefaults() {
	for _, address := range r.addresses() {
		if r.Name == "" {
			r.Name = address
		}
	}
	if r.Product == "" {
		r.Product = r.Name
	}
	if r.Priority == 0 {
		r.Priority = defaultPriority
	}
}

func (c *Config) validateRepositories(k *checker) {
	names := make(map[string]string)
	for i, r := range c.Repositories {
		r.validate(k, i)
		key := versions.CredentialPrefix(r.Name)
		if other, taken := names[key]; taken {
			k.add(fmt.Sprintf("repositories: %q and %q would share their credentials (%s…): other names, please", other, r.Name, key), "repositories", i)
		}
		names[key] = r.Name
	}
}

func (r Repository) validate(k *checker, i int) {
	addresses := r.addresses()
	switch len(addresses) {
	case 0:
		k.add("a repository without url, mirrorlist or metalink", "repositories", i)
	case 1:
	default:
		k.add("a repository with more than one of url, mirrorlist and metalink", "repositories", i)
	}
	keys := slices.Sorted(maps.Keys(addresses))
	for _, key := range keys {
		address := addresses[key]
		env := versions.CredentialPrefix(r.Name)
		if r.Name == address {
			env = versions.CredentialPrefix("name")
		}
		if problem := addressProblem(key, address, env); problem != "" {
			k.add(key+": "+problem, "repositories", i, key)
		}
	}
	for _, key := range keys {
		if r.UnsignedMetadata && strings.HasPrefix(addresses[key], "http:") {
			k.add("unsigned_metadata: only over https; "+key+" is http, and anybody on the way could hide builds", "repositories", i, "unsigned_metadata")
		}
	}
	for _, text := range []struct{ key, is string }{{"name", r.Name}, {"product", r.Product}} {
		if strings.ContainsFunc(text.is, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			k.add(fmt.Sprintf("%s: %q has control characters", text.key, text.is), "repositories", i, text.key)
			break // the product is the name unless it is given
		}
	}
	if r.Priority < 1 || r.Priority > maxPriority {
		k.add(fmt.Sprintf("priority: %d is not in 1 to %d", r.Priority, maxPriority), "repositories", i, "priority")
	}
}

// addressProblem says what is wrong with an address. It never repeats one that
// may hold a secret.
func addressProblem(key, address, env string) string {
	scheme, _, absolute := strings.Cut(address, "://")
	if !absolute {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "not a URL"
	case u.User != nil:
		return fmt.Sprintf("no user or password in a URL: it would be in version control; set %sUSER and %sPASSWORD, or use netrc", env, env)
	case scheme != "http" && scheme != "https" && scheme != "file":
		return fmt.Sprintf("%q is not http, https or file", scheme)
	case scheme != "file" && u.Host == "":
		return "no host in the URL"
	case u.RawQuery != "" && key == "url":
		return fmt.Sprintf("no query in the URL of a repository: put a token that belongs there into %sQUERY", env)
	case u.Fragment != "":
		return "no fragment in a URL"
	case path.Clean("/"+u.Path) == "/repodata/repomd.xml" || strings.HasSuffix(u.Path, "/repodata/repomd.xml"):
		return "the folder above repodata/, please"
	}
	return ""
}
