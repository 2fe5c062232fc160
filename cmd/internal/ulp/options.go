package ulp

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// options are what a command line says.
type options struct {
	command string
	args    []string

	beVerbose, beQuiet                 bool
	process, user                      string
	buildID, revert, recursive         bool
	checkStack, onlyPatched            bool
	noSummary, noThreads, noSeccomp    bool
	revertAll, root, output, debugFile string
	livepatch, target, color           string
	retries                            int
	timeout                            time.Duration
	showHelp, showUsage, showVersion   bool
}

// maxPath is libpulp's ULP_PATH_LEN, in bytes.
const maxPath = 512

// A usageError is a command line that argp(3) would refuse.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// An option is one that ulp knows. value is the name of its argument, "" if it
// takes none; it stands in about, between back quotes.
type option struct {
	long  string
	short byte
	value string
	about string
	set   func(o *options, value string) error
}

// sets is what an option without an argument does.
func sets(at func(*options) *bool) func(*options, string) error {
	return func(o *options, _ string) error {
		*at(o) = true
		return nil
	}
}

// takes is what an option with an argument does.
func takes(at func(*options) *string) func(*options, string) error {
	return func(o *options, value string) error {
		*at(o) = value
		return nil
	}
}

// known are all options. As in libpulp, every command takes every one and
// ignores what means nothing to it.
var known = []option{
	{"verbose", 'v', "", "Say more", sets(func(o *options) *bool { return &o.beVerbose })},
	{"quiet", 'q', "", "Say nothing but what was asked for", sets(func(o *options) *bool { return &o.beQuiet })},
	{"process", 'p', "process", "Target `process`: name, pattern or PID", takes(func(o *options) *string { return &o.process })},
	{"user", 'u', "user", "Its `user`: name, pattern or UID (patches, set_patchable)", takes(func(o *options) *string { return &o.user })},
	{"disable-threading", 0, "", "One process after the other", sets(func(o *options) *bool { return &o.noThreads })},
	{"buildid", 'b', "", "Print build ids (dump, patches)", sets(func(o *options) *bool { return &o.buildID })},
	{"only-livepatched", 0, "", "Leave out what has no live patch (patches)", sets(func(o *options) *bool { return &o.onlyPatched })},
	{"revert-all", 0, "LIB", "Revert all live patches of `LIB`, and apply ARG1 in the same moment; LIB=target means ARG1's library (trigger)", setRevertAll},
	{"revert", 0, "", "Revert ARG1 (trigger), dump .ulp.rev (dump)", sets(func(o *options) *bool { return &o.revert })},
	{"timeout", 0, "t", "Try for at most `t` seconds, 200 if not given (trigger)", setTimeout},
	{"retries", 'r', "N", "Try `N` times where a process is busy (trigger)", setRetries},
	{"check-stack", 'c', "", "Wait until no thread executes what is replaced (trigger)", sets(func(o *options) *bool { return &o.checkStack })},
	{"root", 'R', "PREFIX", "Find ARG1 below `PREFIX` where it is not at its own place (trigger)", takes(func(o *options) *string { return &o.root })},
	{"recursive", 0, "", "Search folders below as well (trigger)", sets(func(o *options) *bool { return &o.recursive })},
	{"disable-summarization", 0, "", "Print every result, skipped ones too (trigger)", sets(func(o *options) *bool { return &o.noSummary })},
	{"disable-seccomp", 0, "", "Lift the filter of the thread that runs constructors (trigger)", sets(func(o *options) *bool { return &o.noSeccomp })},
	{"output", 'o', "FILE", "Write to `FILE`, - is standard output (extract)", takes(func(o *options) *string { return &o.output })},
	{"debuginfo", 'd', "FILE", "Add the symbols of the debug file `FILE` (extract)", takes(func(o *options) *string { return &o.debugFile })},
	{"livepatch", 'l', "LIVEPATCH", "Use the container `LIVEPATCH`, not the description's (packer)", takes(func(o *options) *string { return &o.livepatch })},
	{"target", 't', "LIBRARY", "Use the library `LIBRARY`, not the description's (packer)", takes(func(o *options) *string { return &o.target })},
	{"color", 0, "yes/no/auto", "Color messages: `yes/no/auto`", takes(func(o *options) *string { return &o.color })},
	{"help", '?', "", "Give this help list", sets(func(o *options) *bool { return &o.showHelp })},
	{"usage", 0, "", "Give a short usage message", sets(func(o *options) *bool { return &o.showUsage })},
	{"version", 'V', "", "Print program version", sets(func(o *options) *bool { return &o.showVersion })},
}

func setRevertAll(o *options, value string) error {
	o.revertAll = path.Base(value)
	if len(value) > maxPath {
		return usagef("LIB name must be shorter than %d bytes; got %d.", maxPath, len(value))
	}
	return nil
}

func setTimeout(o *options, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return usagef("--timeout value must be a non-negative integer")
	}
	o.timeout = time.Duration(n) * time.Second
	return nil
}

func setRetries(o *options, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		n = 0
	}
	if n < 1 {
		return usagef("The argument to '-r' must be greater than zero; got %d.", n)
	}
	o.retries = n
	return nil
}

// parse reads a command line as argp(3) does: options may stand anywhere, up to
// a "--"; a long one may be cut to what no other begins with.
func parse(args []string) (*options, error) {
	o := &options{retries: 1, timeout: 200 * time.Second}
	p := parser{o: o, rest: args}
	for len(p.rest) > 0 {
		arg := p.rest[0]
		p.rest = p.rest[1:]
		var err error
		switch {
		case arg == "--":
			p.words, p.rest = append(p.words, p.rest...), nil
		case strings.HasPrefix(arg, "--"):
			err = p.long(arg[2:])
		case len(arg) > 1 && arg[0] == '-':
			err = p.short(arg[1:])
		default:
			p.words = append(p.words, arg)
		}
		if err != nil {
			return nil, err
		}
		if o.help() != "" {
			return o, nil // argp prints it at once
		}
	}
	return o, p.finish()
}

type parser struct {
	o     *options
	rest  []string
	words []string
}

func (p *parser) long(arg string) error {
	name, value, hasValue := strings.Cut(arg, "=")
	var found *option
	for i, k := range known {
		if k.long == name {
			found = &known[i]
			break
		}
		if strings.HasPrefix(k.long, name) {
			if found != nil {
				return usagef("option '--%s' is ambiguous", name)
			}
			found = &known[i]
		}
	}
	for i, k := range known { // an exact one behind others that begin with it
		if k.long == name {
			found = &known[i]
		}
	}
	switch {
	case found == nil:
		return usagef("unrecognized option '--%s'", name)
	case found.value == "" && hasValue:
		return usagef("option '--%s' doesn't allow an argument", found.long)
	case found.value != "" && !hasValue:
		if len(p.rest) == 0 {
			return usagef("option '--%s' requires an argument", found.long)
		}
		value, p.rest = p.rest[0], p.rest[1:]
	}
	return found.set(p.o, value)
}

// short reads one-letter options that share a word; the rest of the word is the
// argument of one that takes one.
func (p *parser) short(letters string) error {
	for letters != "" {
		c := letters[0]
		letters = letters[1:]
		var found *option
		for i, k := range known {
			if k.short == c {
				found = &known[i]
			}
		}
		if found == nil {
			return usagef("invalid option -- '%c'", c)
		}
		value := ""
		if found.value != "" {
			value, letters = letters, ""
			if value == "" {
				if len(p.rest) == 0 {
					return usagef("option requires an argument -- '%c'", c)
				}
				value, p.rest = p.rest[0], p.rest[1:]
			}
		}
		if err := found.set(p.o, value); err != nil {
			return err
		}
	}
	return nil
}

// finish checks the words that are no options.
func (p *parser) finish() error {
	o := p.o
	if len(p.words) == 0 {
		return usagef("Too few arguments.")
	}
	o.command, o.args = p.words[0], p.words[1:]
	c, ok := commands()[o.command]
	switch {
	case !ok:
		return usagef("Invalid command: %s.", o.command)
	case len(o.args) > c.max:
		return usagef("Too many arguments.")
	case o.beQuiet && o.beVerbose:
		return usagef("You must specify either '-v' or '-q' or none.")
	case o.command == "trigger" && o.revertAll != "" && o.revert:
		return usagef("--revert and --revert-all can not be used together.")
	case o.command == "trigger" && o.revertAll == "" && len(o.args) == 0:
		return usagef("Too few arguments.")
	case o.command == "messages" && o.process == "":
		return usagef("process is mandatory in 'messages' command.")
	case o.command == "livepatchable" && len(o.args) == 0:
		return usagef("file is mandatory in 'livepatchable' command.")
	case o.command == "set_patchable" && len(o.args) == 0:
		return usagef("passing 'enable' or 'disable' in ARG1 is mandatory in set_patches.")
	case len(o.args) < c.min:
		return usagef("Too few arguments.")
	case len(o.args) > 0 && len(o.args[0]) > maxPath:
		return usagef("METADATA path must be shorter than %d bytes; got %d.", maxPath, len(o.args[0]))
	}
	return nil
}
