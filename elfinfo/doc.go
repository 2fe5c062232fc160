// Package elfinfo reads the facts about x86-64 ELF libraries that live
// patching needs, and keeps them as records: one [Build] is one shipped build
// of a library, known by its build-id.
//
// A [File] is a file on disk, a file that a process maps, or an image in a
// process's memory. What the dynamic linker would see (symbols, versions,
// relocations) is always read the way the dynamic linker reads it: from the
// program headers and PT_DYNAMIC. Section headers are only a help, because
// files may lack them and memory images always do. Separate debug files,
// whose program headers describe contents that are not there, are recognised
// by an executable section without contents (SHT_NOBITS) and are read through
// their section headers alone.
//
// Everything that is read is hostile. Three rules hold throughout:
//
//   - no length or count is used before it is compared with the file's size
//     or a fixed limit, so that memory use is bounded by what was really read;
//   - tables that are chained are followed a bounded number of times and only
//     forwards;
//   - a fact that is uncertain makes a function not livepatchable, never the
//     other way round.
//
// References: System V gABI (object files), the x86-64 psABI, the GNU symbol
// versioning and DT_GNU_HASH conventions, LSB 5.0 (.eh_frame), DWARF 5.
package elfinfo
