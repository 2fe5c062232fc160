package conformance

import "slices"

// libcareRows are the test cases of LibCare and LibcarePlus that are about processes, each in the flavours in which its
// suite runs them. The cases that it expects to fail since the function is in use are BUSY with stack consistency, and
// work with immediate consistency.
var libcareRows = slices.Concat(libcareGreetings, libcareBusy, libcareOther)
