// Package rpmhook is what a live-patch package does when RPM installs, upgrades
// or erases it: the text of its scriptlets, and the program behind them.
//
// RPM runs the scriptlets of one transaction in this order (COUNT is $1: how
// many versions of the package will be installed afterwards):
//
//	install  %post 1                                    %posttrans 1
//	upgrade  %post 2 (new)  %preun 1, %postun 1 (old)   %posttrans 2, or 1 (new)
//	erase                   %preun 0, %postun 0
//
// From this follows all that the hook decides by:
//
//   - %post and %posttrans bring every process to the installed set, whatever
//     COUNT is. Nobody is reverted first: it is one replacement.
//   - %preun and %postun act only if COUNT is 0, so the package that is being
//     upgraded away never undoes what its successor has just applied.
//   - The second call of a pair finds everything done and says nothing. It is
//     there for processes that were busy, or that forked meanwhile.
//
// The set is what the manifest set.json lists, nothing else in its folder:
// during an upgrade the folder holds the files of both versions.
//
// The invariants are those of a guest in somebody else's transaction: Run never
// fails, never takes longer than its deadline, and does nothing at all where
// the files it was installed with are not those of the running system.
package rpmhook
