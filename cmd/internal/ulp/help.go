package ulp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

// libpulpVersion is the release of libpulp whose command line this is.
const libpulpVersion = "0.3.17"

// help is the text that was asked for instead of a command, "" if none was.
func (o *options) help() string {
	switch {
	case o.showVersion:
		return fmt.Sprintf("lpctl %s, as ulp of libpulp %s\n", cli.Version(), libpulpVersion)
	case o.showUsage:
		return "Usage: ulp [OPTION...] COMMAND [ARG1]\n"
	case o.showHelp:
		return helpText()
	}
	return ""
}

func helpText() string {
	var b strings.Builder
	b.WriteString("Usage: ulp [OPTION...] COMMAND [ARG1]\n" +
		"ulp: live patches of running processes, with the command line of libpulp.\n\n Possible COMMANDs are:\n\n")
	for _, name := range slices.Sorted(maps.Keys(commands())) {
		fmt.Fprintf(&b, "   %-14s %s\n", name, commands()[name].about)
	}
	b.WriteString("\n Options:\n\n")
	for _, k := range known {
		short := "   "
		if k.short != 0 {
			short = "-" + string(rune(k.short)) + ","
		}
		long := "--" + k.long
		if k.value != "" {
			long += "=" + k.value
		}
		fmt.Fprintf(&b, "  %s %-24s %s\n", short, long, strings.ReplaceAll(k.about, "`", ""))
	}
	return b.String()
}
