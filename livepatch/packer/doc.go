// Package packer is for one library or container at a time, from files alone:
// it lists a library's symbols (Extract), embeds a description's metadata into a
// container (Pack) and prepares a library's entries (MergeNops). It is what
// libpulp's tools extract, packer and post do, and writes their formats.
//
// Every file is written whole or not at all, and keeps its mode.
package packer
