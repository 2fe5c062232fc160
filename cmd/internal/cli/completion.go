package cli

import (
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// completionFlag ends a command line of which a shell asks how the word before
// it can go on. It is the name that the library's own scripts use.
const completionFlag = "--generate-bash-completion"

// complete prints what can stand at the end of a command line that ends with
// completionFlag: commands, or options where a word begun with "-" is the last.
// Nothing means that the shell should propose files.
func complete(app *urfave.App, args []string) {
	words := args[1 : len(args)-1]
	begun := ""
	if len(words) > 0 && strings.HasPrefix(words[len(words)-1], "-") {
		begun = words[len(words)-1]
	}
	var command *urfave.Command
	for _, w := range words {
		if command = app.Command(w); command != nil {
			break
		}
	}
	switch {
	case begun != "":
		flags := app.Flags
		if command != nil {
			flags = slices.Concat(command.Flags, flags)
		}
		for _, f := range flags {
			if name := "--" + f.Names()[0]; strings.HasPrefix(name, begun) {
				fmt.Fprintln(app.Writer, name)
			}
		}
	case command == nil && slices.IndexFunc(words, func(w string) bool { return w == "--" }) < 0:
		for _, cmd := range app.VisibleCommands() {
			fmt.Fprintln(app.Writer, cmd.Name)
		}
	}
}

// The scripts work without the package bash-completion.
const (
	bashCompletion = `_%[1]s() {
	local words=("${COMP_WORDS[@]:0:COMP_CWORD}") cur="${COMP_WORDS[COMP_CWORD]}"
	[[ $cur == -* ]] && words+=("$cur")
	COMPREPLY=($(compgen -W "$("${words[@]}" ` + completionFlag + ` 2>/dev/null)" -- "$cur"))
}
complete -o bashdefault -o default -F _%[1]s %[2]s
`
	zshCompletion = `#compdef %[2]s
_%[1]s() {
	local -a found
	local -a begun=("${(@)words[1,CURRENT-1]}")
	[[ ${words[CURRENT]} == -* ]] && begun+=("${words[CURRENT]}")
	found=("${(@f)$("${begun[@]}" ` + completionFlag + ` 2>/dev/null)}")
	if [[ -n ${found[1]} ]]; then compadd -a found; else _files; fi
}
compdef _%[1]s %[2]s
`
)

// CompletionCommand prints the script that makes a shell complete the program's
// command line.
func CompletionCommand() *urfave.Command {
	return &urfave.Command{
		Name: "completion", ArgsUsage: "bash|zsh", HideHelpCommand: true,
		Usage:       "print a script that makes a shell complete command lines",
		Description: "For one session: source <(PROGRAM completion bash)",
		Action: func(c *urfave.Context) error {
			if err := NArgs(c, 1, 1); err != nil {
				return err
			}
			script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion}[c.Args().First()]
			if !ok {
				return Usagef("completion: no script for %q; there is bash and zsh", c.Args().First())
			}
			_, err := fmt.Fprintf(c.App.Writer, script, strings.ReplaceAll(c.App.Name, "-", "_"), c.App.Name)
			return err
		},
	}
}
