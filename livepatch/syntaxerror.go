package livepatch

import "fmt"

// Pos is a place in a description. Line and Col count from 1, Col in bytes.
// The zero value means that the place is unknown.
type Pos struct {
	Line, Col int
}

// SyntaxError is an error, or a warning, at one place of a description.
type SyntaxError struct {
	File string
	// Line and Col are as in Pos; Line 0 means the file as a whole.
	Line, Col int
	Msg       string
	// Source is the text of the line, "" if unknown: what a caret can be drawn under.
	Source string
}

// Error returns "file:line:col: msg".
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}
