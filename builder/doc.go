// Package builder compiles, links, describes and packs the live patches of a
// project for any number of builds of their target libraries, one container for
// each build, with the records of these builds alone: no build's files are read.
//
// # How a container is made
//
//  1. The descriptions are parsed, and each patch says which builds it concerns
//     and how it is compiled for them. Its source is compiled once for all builds
//     for which the preprocessor gives the same text. What the objects leave
//     undefined are the container's imports.
//  2. For each build the names of the description become addresses, and each
//     import is resolved to a symbol that exists wherever that build runs: one
//     that the build defines (in its default version, or the one that .symver
//     asks for), or one that it imports itself, in the version that it
//     requires. Names that newer headers put in place of standard ones
//     (__isoc23_strtol) become those that the build has. Anything else is
//     refused.
//  3. Patches that would get in each other's way are refused, and with them the
//     build. Builds with the same objects and imports share one link. It sees no real library but
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
