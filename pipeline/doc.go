// Package pipeline takes a live-patch project from its description to tested
// containers and packages.
//
// A project is a folder with lpbuild.yaml, livepatches/, versions.lock,
// versions/ and keys/. The stages run in this order, and each needs only what
// the ones before it left in the folder:
//
//	Download   repositories       → versions.lock, versions/   (the only one that uses the network)
//	Make       records × patches  → build/: one container per build
//	Check      as Make, but writes nothing
//	Test       containers         → each applied to a process on that very build
//	Dist, RPM  containers         → dist/
//
// Every stage returns a report as a value, prints nothing and never stops at
// the first bad build: what failed is a row of the report. A stage returns an
// error only where nothing sensible can be reported.
package pipeline
