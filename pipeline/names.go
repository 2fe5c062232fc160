package pipeline

import (
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lpbuild/lpbuild/versions"
)

// Names are one name or several: in YAML a text or a list.
type Names []string

// String is the names with commas between them.
func (n Names) String() string { return strings.Join(n, ", ") }

// UnmarshalYAML reads a text or a list of texts.
func (n *Names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]string)(n))
	}
	var one string
	if err := node.Decode(&one); err != nil {
		return err
	}
	if *n = nil; one != "" {
		*n = Names{one}
	}
	return nil
}

// names checks names of packages; without one, the key is missing.
func (k *checker) names(names Names, key string) {
	if len(names) == 0 {
		k.match(nameShape, "", key)
	}
	for i, name := range names {
		place := []any{key}
		if k.line([]any{key, i}) > 0 {
			place = append(place, i)
		}
		k.match(nameShape, name, place...)
	}
}

// isServer says whether an item of debuginfod can be one. A user in a URL would
// be a secret in the project.
func isServer(item string) bool {
	if item == versions.DebuginfodURLs {
		return true
	}
	u, err := url.Parse(item)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && versions.PrivateServer(u)
}
