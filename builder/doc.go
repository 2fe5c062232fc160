// Package builder compiles, links, describes and packs one live patch for any
// number of builds of its target library, with the records of these builds
// alone: no build's files are read.
//
// # How a container is made
//
//  1. The description is parsed and the source compiled, once. What the object
//     leaves undefined are the container's imports.
//  2. For each build the names of the description become addresses, and each
//     import is resolved to a symbol that exists wherever that build runs: one
//     that the build defines (in its default version, or the one that .symver
//     asks for), or one that it imports itself, in the version that it
//     requires. Names that newer headers put in place of standard ones
//     (__isoc23_strtol) become those that the build has. Anything else is
//     refused.
//  3. Builds with the same imports share one link. It sees no real library but
//     stubs, written for it, that hold exactly those symbols in exactly those
//     versions: the container can't ask for anything else.
//  4. The linked file is packed for each build: livepatch.Pack adds the
//     metadata. The result is read back and compared with the record before it
//     is written.
//
// # Invariants
//
//   - Equal input gives equal bytes, in whatever folder, whatever was cached.
//   - No code of a C run-time start file is in a container, and it needs
//     exactly the libraries that it imports from.
//   - A container is written whole or not at all, and a build that is refused
//     has none.
//   - With a cache folder, nothing that has not changed is compiled or linked
//     again: no process is started then.
package builder
