package demo

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// A state is one line of lpctl --json status.
type state struct {
	PID     int    `json:"pid"`
	Result  string `json:"result"`
	Patches []struct {
		Set        string `json:"set"`
		SetVersion string `json:"set_version"`
		BuildID    string `json:"build_id"`
	} `json:"patches"`
}

// nothingToApply is lpctl's exit status where no patch is in force.
const nothingToApply = 20

// status checks with lpctl that the version of the change, or nothing at all, is
// in force in every witness.
func (m *machine) status(ctx context.Context, c change) error {
	lpctl := "/usr/bin/lpctl"
	if _, err := os.Stat(lpctl); err != nil {
		lpctl = m.Lpctl // its package is erased
	}
	argv := []string{lpctl, "--json", "status"}
	for _, p := range m.processes {
		argv = append(argv, "-p", strconv.Itoa(p.pid))
	}
	printed, err := m.call(ctx, c.step, argv)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == nothingToApply && c.version == "" {
		err = nil
	}
	if err != nil {
		return err
	}
	inForce := make(map[int][]string)
	dec := json.NewDecoder(bytes.NewReader(printed))
	for dec.More() {
		var s state
		if err := dec.Decode(&s); err != nil {
			return unexpected(c.step, "lpctl status: %w", err)
		}
		for _, p := range s.Patches {
			inForce[s.PID] = append(inForce[s.PID], p.Set+" "+p.SetVersion+" "+p.BuildID)
		}
	}
	for _, p := range m.processes {
		got := inForce[p.pid]
		want := p.Package + " " + c.version + " " + p.BuildID
		if c.version == "" && len(got) > 0 || c.version != "" && !slices.Contains(got, want) {
			return unexpected(c.step, "lpctl status of pid %d, %s: in force %q", p.pid, p.NEVRA, got)
		}
	}
	return nil
}

// metadata are the sections of a container that are not loaded, which packaging
// tools are apt to strip or to move elsewhere.
var metadata = []string{".ulp", ".ulp.rev", ".ulp.comments", ".lpbuild"}

func intactMetadata(container string) error {
	f, err := elf.Open(container)
	if err != nil {
		return err
	}
	defer f.Close()
	var missing []string
	for _, name := range metadata {
		if s := f.Section(name); s == nil || s.Type != elf.SHT_PROGBITS || s.Size == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: no section %s", container, strings.Join(missing, ", "))
	}
	return nil
}
