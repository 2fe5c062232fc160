// Package rpm holds the files that make a live-patch project an RPM source
// package, as text/templates whose data package pipeline/dist gives.
package rpm

import "embed"

// Files holds package.spec, the spec file; package.changes, the change log in the
// form that the Open Build Service keeps beside it; package-rpmlintrc, with
// which that service's checks accept what is meant; and _multibuild, with which
// the service builds the package in several flavours.
//
//go:embed package.spec package.changes package-rpmlintrc _multibuild
var Files embed.FS
