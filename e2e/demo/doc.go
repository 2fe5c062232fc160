// Package demo does with the real programs what a release engineer and then an
// operator do with a fix for a library: from a signed repository of shipped
// builds to patched running processes and back.
//
// # The way
//
//  1. A repository with every glibc build that the package archive offers, and
//     three of libgreet, is served on loopback (package e2e/fixture).
//  2. For each library a project: lpbuild init, download, versions, make, check,
//     test. The server is stopped after the download.
//  3. Packages of version 0.1: lpbuild dist and rpmbuild, without network, and
//     lpbuild rpm, which must give the same files. Of version 0.2, with another
//     replacement, those of lpbuild rpm.
//  4. On a machine of their own (package e2e/scratch) processes run on every
//     build, and rpm installs, upgrades and erases the packages.
//
// # What is proven of step 4
//
// Each thread of each process takes down every answer that it gets. Runs of
// equal answers taken together, that must be exactly: old, 0.1, 0.2, old. All
// the time it is the same process, traced by nobody between transactions, with
// nothing preloaded; in the end the functions have their original bytes. What a
// transaction did to a process is what rpm-helper reported to the system log,
// compared with the line that it printed and with lpctl status.
//
// Nothing is written outside Options.Dir but into the fixture's cache folder.
package demo
