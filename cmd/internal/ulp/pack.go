package ulp

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/livepatch/packer"
)

// pack embeds the metadata of a description into its container.
func pack(_ context.Context, c *command) int {
	instead := packer.Paths{Container: c.livepatch, Target: c.target}
	if _, err := packer.Pack(c.arg(), instead); err != nil {
		c.explain(err)
		c.warn("metadata file generation failed.")
		return 1
	}
	c.warn("metadata successfully embedded into livepatch container")
	return 0
}

// explain prints what is wrong with a description, with its line, to standard
// output, as libpulp does.
func (c *command) explain(err error) {
	var (
		place  *packer.PlaceError
		syntax *livepatch.SyntaxError
	)
	switch {
	case errors.As(err, &place):
		e := *place.Place
		e.Msg = placeText(place)
		c.printError(&e)
	case errors.As(err, &syntax):
		c.printError(syntax)
	default:
		c.print("%s: error: %s\n", c.arg(), printable(err.Error()))
	}
}

// placeText is libpulp's text for what is wrong with a file or a symbol, where
// it has one.
func placeText(e *packer.PlaceError) string {
	source := e.Place.Source
	missing := errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, fs.ErrPermission)
	switch {
	case missing && strings.HasPrefix(source, "@"):
		return "unable to open target file"
	case missing:
		return "livepatch container file not found"
	case errors.Is(e.Err, elfinfo.ErrMissing):
		name, _, _ := strings.Cut(strings.TrimLeft(source, "#%"), ":")
		return "symbol " + name + " is not present in the target"
	}
	return e.Place.Msg
}

// printError prints an error and the line with a caret under the place.
func (c *command) printError(e *livepatch.SyntaxError) {
	line, col := max(e.Line, 1), max(e.Col, 1)
	c.print("%s:%d:%d: %s%s\n", e.File, line, col, c.paint(red, "error: "), printable(e.Msg))
	if e.Source == "" {
		return
	}
	at := min(col-1, len(e.Source))
	word, rest, found := strings.Cut(e.Source[at:], ":")
	if found {
		rest = ":" + rest
	}
	c.print("%s%s%s\n", printable(e.Source[:at]), c.paint(red, printable(word)), printable(rest))
	c.print("%s%s\n", strings.Repeat(" ", at), c.paint(red, "^"+strings.Repeat("~", max(len(word)-1, 0))))
}
