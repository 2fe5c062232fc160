package pipeline

import "go.yaml.in/yaml/v3"

// maxExpanded bounds lpbuild.yaml with all aliases written out, in bytes of text
// and values. The YAML library bounds what it expands itself, not what types
// read that decode their own nodes.
const maxExpanded = 4 * maxConfig

// expandedSize is the size of a node with all aliases written out, and more than
// maxExpanded if it is that or more, or contains itself. known holds the sizes
// of anchors.
func expandedSize(n *yaml.Node, known map[*yaml.Node]int) int {
	if n.Kind == yaml.AliasNode {
		size, ok := known[n.Alias]
		if !ok {
			known[n.Alias] = maxExpanded + 1 // until it is known: it may contain itself
			size = expandedSize(n.Alias, known)
			known[n.Alias] = size
		}
		return size
	}
	size := 1 + len(n.Value)
	for _, c := range n.Content {
		if size += expandedSize(c, known); size > maxExpanded {
			return maxExpanded + 1
		}
	}
	return size
}
