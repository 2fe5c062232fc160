package main

import (
	"bytes"
	"errors"
	"io"
	"os/user"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
)

// parsed is what a command line means.
func parsed(t *testing.T, args ...string) (sel injector.Selection, opts injector.Options, err error) {
	t.Helper()
	app := newApp(io.Discard, io.Discard)
	app.Command("revert").Action = func(c *urfave.Context) (err error) {
		if sel, err = selection(c); err != nil {
			return err
		}
		opts, err = options(c)
		return err
	}
	err = cli.Run(t.Context(), app, append([]string{"lpctl", "revert"}, args...))
	return sel, opts, err
}

func TestSelectionOfCommandLine(t *testing.T) {
	root, err := user.LookupId("0")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		want injector.Selection
	}{
		{"-p 12 -p bash --process a,b*", injector.Selection{PIDs: []int{12}, Globs: []string{"bash", "a,b*"}}},
		{"-u " + root.Username + " --user 4294967294", injector.Selection{UIDs: []int{0, 4294967294}}},
		{"--library libc.so.6 --library /usr/*/libssl.so.3", injector.Selection{Libraries: []string{"libc.so.6", "/usr/*/libssl.so.3"}}},
		{"--cgroup nginx.service --cgroup system.slice/cron.service", injector.Selection{Cgroups: []string{"nginx.service", "/system.slice/cron.service"}}},
		{"--cgroup /sys/fs/cgroup/system.slice/ --cgroup /sys/fs/cgroup/unified/a --cgroup /sys/fs/cgroupx", injector.Selection{Cgroups: []string{"/system.slice", "/a", "/sys/fs/cgroupx"}}},
		{"--cgroup /sys/fs/cgroup --cgroup /a[b", injector.Selection{Cgroups: []string{"/", "/a[b"}}},
	} {
		if got, _, err := parsed(t, strings.Fields(tt.args)...); err != nil || !equal(got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.args, got, err, tt.want)
		}
	}
}

// equal takes no list for an empty one.
func equal(a, b injector.Selection) bool {
	a.Libraries, b.Libraries = append([]string{}, a.Libraries...), append([]string{}, b.Libraries...)
	return reflect.DeepEqual(a, b)
}

func TestOptionsOfCommandLine(t *testing.T) {
	_, opts, err := parsed(t, strings.Fields("--timeout 20ms --wait 0 --consistency stack -j 3 -n --restore")...)
	want := injector.Options{Timeout: 20e6, Wait: 1, Consistency: injector.Stack, Jobs: 3, DryRun: true, Restore: true}
	if err != nil || opts != want {
		t.Errorf("%+v, %v; want %+v", opts, err, want)
	}
	if _, opts, err = parsed(t); err != nil || opts.Timeout != injector.DefaultTimeout || opts.Wait != injector.DefaultWait || opts.DryRun {
		t.Errorf("without options: %+v, %v", opts, err)
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-p 0", `--process 0: no process id`},
		{"-p -5", `--process -5: no process id`},
		{"-p [", `--process "[": no pattern`},
		{"--library [a", `--library "[a": no pattern`},
		{"--cgroup [a", `--cgroup "[a": no pattern`},
		{"-u no-such-user", `--user no-such-user: not in /etc/passwd`},
		{"-u -1", `--user -1: not in /etc/passwd`},
		{"-u 4294967296", `--user 4294967296: not in /etc/passwd`},
		{"--timeout 0", `--timeout 0s: want 1ms to 10s`},
		{"--timeout 999us", `--timeout 999µs: want 1ms to 10s`},
		{"--timeout 11s", `--timeout 11s: want 1ms to 10s`},
		{"--wait -1s", `--wait -1s: want 0 to 1h0m0s`},
		{"--wait 2h", `--wait 2h0m0s: want 0 to 1h0m0s`},
		{"--jobs -1", `--jobs -1: want 0 or more`},
		{"--consistency none", `--consistency "none": want immediate or stack`},
	} {
		_, _, err := parsed(t, strings.Fields(tt.args)...)
		if err == nil || !errors.Is(err, cli.ErrUsage) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.args, err, tt.want)
		}
	}
}

// Every command takes the same options for what is selected.
func TestEveryCommandTakesTheSelection(t *testing.T) {
	for _, command := range []string{"status", "apply", "revert", "replace", "check"} {
		app := newApp(io.Discard, io.Discard)
		var pids []int
		app.Command(command).Action = func(c *urfave.Context) error {
			sel, err := selection(c)
			pids = sel.PIDs
			return err
		}
		err := cli.Run(t.Context(), app, []string{"lpctl", "-p", "1", command, "x.so", "-p", "2"})
		if err != nil || !reflect.DeepEqual(pids, []int{1, 2}) {
			t.Errorf("%s: %v, %v", command, pids, err)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", "status apply revert replace check completion"},
		{"apply", ""},
		{"apply --d", "--dry-run"},
		{"apply --c", "--cgroup --consistency"},
		{"-p 1 revert --a", "--all"},
		{"-p 1 --all", ""},
		{"--jo", "--jobs"},
	} {
		var out bytes.Buffer
		args := append(append([]string{"lpctl"}, strings.Fields(tt.args)...), "--generate-bash-completion")
		if err := cli.Run(t.Context(), newApp(&out, io.Discard), args); err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(out.String())
		for _, w := range strings.Fields(tt.want) {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %v, want %s among it", tt.args, got, w)
			}
		}
		if tt.want == "" && len(got) > 0 {
			t.Errorf("%q: %v, want nothing", tt.args, got)
		}
	}
}

// A number is a user's id, whether there is such a user or not.
func TestUserID(t *testing.T) {
	for _, id := range []int{0, 1, 123456789} {
		if got, err := userID(strconv.Itoa(id)); err != nil || got != id {
			t.Errorf("%d: %d, %v", id, got, err)
		}
	}
}
