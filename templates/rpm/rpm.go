// Package rpm holds the files that make a live-patch project an RPM source
// package, as text/templates whose data package pipeline/dist gives.
package rpm

import "embed"

// Files holds package.spec, the spec file; package.changes, the change log in the
// form that the Open Build Service keeps beside it; and package-rpmlintrc, with
// which that service's checks accept what is meant.
//
//go:embed package.spec package.changes package-rpmlintrc
var Files embed.FS
