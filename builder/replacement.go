package builder

import (
	"debug/elf"
	"fmt"
	"path/filepath"

	"github.com/lpbuild/lpbuild/livepatch"
)

// checkReplacements makes sure that the source defines what the description
// promises. That does not depend on the build.
func (m *maker) checkReplacements() error {
	source := filepath.Base(m.patch.sourceFile())
	for _, u := range m.desc.Units {
		typ, exported := m.object.exported[u.New]
		var msg string
		switch {
		case exported && typ == elf.STT_FUNC:
			continue
		case exported:
			msg = fmt.Sprintf("replacement %s in %s is no function", u.New, source)
		case m.object.hidden[u.New]:
			msg = fmt.Sprintf("replacement %s in %s is not exported (static or hidden)", u.New, source)
		default:
			msg = fmt.Sprintf("replacement %s is not defined in %s", u.New, source)
		}
		return m.replacementError(u.Pos, msg)
	}
	for _, r := range m.desc.References {
		if r.Explicit && r.PatchOffset != 0 {
			continue
		}
		if _, exported := m.object.exported[r.Reference]; !exported && !m.object.hidden[r.Reference] {
			return m.replacementError(r.Pos, fmt.Sprintf(
				"reference variable %s is not in the object of %s (a static one that nothing writes is optimised away)", r.Reference, source))
		}
	}
	return nil
}

func (m *maker) replacementError(p livepatch.Pos, msg string) error {
	err := m.desc.ErrorAt(p, msg)
	return refuse(ErrReplacement, err, "%s", err)
}
