package main

import (
	"io"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

const resultWords = `  APPLIED              the containers are in force now
  ALREADY              they were in force before
  REPLACED             others were in force, now these are
  REVERTED             they were in force, now none of them is
  NOT-APPLIED          none of them is in force
  NOT-LOADED           the process does not map the library
  NO-PATCH-FOR-BUILD   it maps a build that no container is for

  BUSY                 a thread could not be brought to a safe place in time,
                       or is in code that changes (--consistency stack): try
                       again
  BLOCKED              something about this process forbids it
  FOREIGN              somebody else's patch, or a newer ledger, is in the way
  GONE                 the process ended meanwhile
  FAILED               any other error

All containers of one call are applied to a process together, or none is.`

const resultJSON = `With --json every process is one object on one line:

  pid           process id
  start_time    when it was started, in clock ticks since boot: with pid it
                names the process for as long as the machine runs
  command       name of its main thread
  library       soname of the target library; left out if none is concerned
  build_id      its GNU build-id as it is mapped, in hexadecimal
  result        one of the words above
  reason        one line for a person; left out if there is nothing to explain
  dry_run       true after --dry-run: result is what would have come of it, and
                nothing was changed; else left out
  patchable     status only: whether a live patch could be applied, as far as
                that can be known without stopping anything; reason says why not
  stopped_ns    the longest time for which threads were held, in nanoseconds
  patches       what is in force afterwards, oldest first, each with id (the
                SHA-256 of the container file), name, set, set_version, patch,
                library, build_id, time (RFC 3339), references and functions

Members may be added; none of these changes its name or meaning.`

// manPage is the manual page lpctl(1).
func manPage() []byte {
	return cli.Man(newApp(io.Discard, io.Discard), cli.ManPage{
		Section:     "1",
		Description: about,
		Sections: []cli.ManSection{
			{Title: "RESULTS", Text: resultWords},
			{Title: "JSON", Text: resultJSON},
			{Title: "NOTES", Text: "What is applied is written down in the process itself: status and revert need no file, a child of fork inherits it, exec ends it. A thread that executes the old function when a patch is applied finishes in it, unless --consistency stack is given; the next call is the new one. What was reverted stays mapped, since a call may be under way in it, and comes into force again without being loaded anew.\n\nThe first apply stops all threads for a moment. Later ones, replace and revert, stop one thread, as long as the jumps are there (until revert --restore) and unless --consistency stack is given.\n\nulp set_patchable disable and the environment variables that ulp(1) lists keep live patches away from a process, BLOCKED."},
		},
		SeeAlso: []string{"ulp(1)", "lpbuild(1)", "rpm-helper(8)"},
	})
}
