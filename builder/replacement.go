package builder

import (
	"debug/elf"
	"fmt"
	"path/filepath"

	"github.com/lpbuild/lpbuild/livepatch"
)

// checkReplacements makes sure that the source defines what the description
// promises. That does not depend on the build.
func (v *variant) checkReplacements() error {
	source := v.sourceName()
	for _, u := range v.desc.Units {
		typ, exported := v.object.exported[u.New]
		var msg string
		switch {
		case exported && typ == elf.STT_FUNC:
			continue
		case exported:
			msg = fmt.Sprintf("replacement %s in %s is no function", u.New, source)
		case v.object.hidden[u.New]:
			msg = fmt.Sprintf("replacement %s in %s is not exported (static or hidden)", u.New, source)
		default:
			msg = fmt.Sprintf("replacement %s is not defined in %s", u.New, source)
		}
		return v.replacementError(u.Pos, msg)
	}
	for _, r := range v.desc.References {
		if r.Explicit && r.PatchOffset != 0 {
			continue
		}
		if _, exported := v.object.exported[r.Reference]; !exported && !v.object.hidden[r.Reference] {
			return v.replacementError(r.Pos, fmt.Sprintf(
				"reference variable %s is not in the object of %s (a static one that nothing writes is optimised away)", r.Reference, source))
		}
	}
	return nil
}

func (v *variant) replacementError(p livepatch.Pos, msg string) error {
	err := v.desc.ErrorAt(p, msg)
	return failing(checkReplacement, refuse(ErrReplacement, err, "%s", err))
}

// sourceName names the source for a message.
func (p *part) sourceName() string {
	files := p.patch.sourceFiles()
	name := filepath.Base(files[0])
	if len(files) > 1 {
		return name + " and the other sources"
	}
	return name
}
