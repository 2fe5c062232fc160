package conformance

import "slices"

// libpulpRows are the test cases of libpulp's suite, those that it passes without looking at anything included.
var libpulpRows = slices.Concat(libpulpCalls, libpulpSymbols, libpulpRunning, libpulpStacked, libpulpProcesses, libpulpEnvironment, libpulpCommands)
