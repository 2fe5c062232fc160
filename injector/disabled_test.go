package injector

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// withState makes an injector with a state folder of the test's own.
func withState(t *testing.T) *Injector {
	return New(Options{State: filepath.Join(t.TempDir(), "state")})
}

func TestSetPatchable(t *testing.T) {
	f := newFixture(t, "padded")
	c1, c2 := f.container(t, 2, "answer", "second"), f.container(t, 3, "answer", "second")
	tg := f.start(t, 0, 0)
	in := withState(t)
	rs, err := in.Apply(background(), only(tg.pid), []*livepatch.Container{c1})
	r := result(t, Applied, rs, err)

	if err := in.SetPatchable(background(), tg.pid, r.StartTime, false); err != nil {
		t.Fatal(err)
	}
	rs, err = in.Apply(background(), only(tg.pid), []*livepatch.Container{c2})
	if r := result(t, Blocked, rs, err); !errors.Is(r.Err, ErrDisabled) {
		t.Errorf("error %v", r.Err)
	}
	rs, err = in.Check(background(), only(tg.pid), []*livepatch.Container{c2})
	result(t, Blocked, rs, err)
	rs, err = in.Replace(background(), only(tg.pid), []*livepatch.Container{c2})
	result(t, Blocked, rs, err)
	tg.expect("1001", "2020")
	seen, err := in.Inspect(background(), only(tg.pid))
	if err != nil || len(seen) != 1 || seen[0].Disabled == "" {
		t.Errorf("%+v, %v", seen, err)
	}
	// What was in force before can be taken out of force.
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)

	if err := in.SetPatchable(background(), tg.pid, r.StartTime, true); err != nil {
		t.Fatal(err)
	}
	rs, err = in.Apply(background(), only(tg.pid), []*livepatch.Container{c2})
	result(t, Applied, rs, err)
	tg.expect("1001", "2020", "3030")
}

func TestSetPatchableKnowsProcesses(t *testing.T) {
	tg := newFixture(t, "stock").start(t, 0, 0)
	in := withState(t)
	if err := in.SetPatchable(background(), tg.pid, tg.start+1, false); !errors.Is(err, ErrGone) {
		t.Errorf("another start time: %v", err)
	}
	if err := in.SetPatchable(background(), tg.pid, tg.start, false); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(in.opts.State, stateDisabled, "4194999-1")
	other := filepath.Join(in.opts.State, stateDisabled, stateEntry(tg.pid, tg.start+1))
	for _, name := range []string{dead, other} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.SetPatchable(background(), tg.pid, tg.start, false); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(in.opts.State, stateDisabled))
	if err != nil || len(left) != 1 || left[0].Name() != stateEntry(tg.pid, tg.start) {
		t.Errorf("%v, %v", left, err)
	}
	// A folder that anybody may write says nothing about anybody.
	if err := os.Chmod(in.opts.State, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := in.SetPatchable(background(), tg.pid, tg.start, true); err == nil {
		t.Error("a folder that everybody may write is used")
	}
}

func TestVariablesDisable(t *testing.T) {
	f := newFixture(t, "padded")
	c := f.container(t, 2, "answer", "second")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		environment string
		want        Word
	}{
		"path":           {disableOnPath + "=/nowhere:" + f.dir + "/*", Blocked},
		"path alone":     {disableOnPath + "=" + f.program, Blocked},
		"other path":     {disableOnPath + "=/nowhere/*::/target", Applied},
		"user":           {disableOnUsers + "=nobody:" + me.Username, Blocked},
		"uid":            {disableOnUsers + "=12345:" + me.Uid, Blocked},
		"other user":     {disableOnUsers + "=12345:no" + me.Username, Applied},
		"group":          {disableOnGroups + "=" + group.Name[:1] + "*", Blocked},
		"gid":            {disableOnGroups + "=" + me.Gid, Blocked},
		"extended":       {disableOnUsers + "=@(x|" + me.Username + ")", Blocked},
		"not understood": {disableOnUsers + "=!(" + me.Username + ")", Blocked},
		"other name":     {"X" + disableOnUsers + "=" + me.Uid, Applied},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(f.program)
			cmd.Env = []string{"FILLER=" + strings.Repeat("x", 100<<10), tt.environment}
			tg := startTarget(t, cmd)
			in := withState(t)
			rs, err := in.Apply(background(), only(tg.pid), []*livepatch.Container{c})
			r := result(t, tt.want, rs, err)
			if tt.want == Applied {
				tg.expect("1001", "2020")
				return
			}
			variable, _, _ := strings.Cut(tt.environment, "=")
			if !errors.Is(r.Err, ErrDisabled) || !strings.Contains(r.Reason, variable) {
				t.Errorf("%s", r.Reason)
			}
			tg.expect("1001")
			if err := in.SetPatchable(background(), tg.pid, r.StartTime, true); err != nil {
				t.Fatal(err)
			}
			rs, err = in.Apply(background(), only(tg.pid), []*livepatch.Container{c})
			result(t, Applied, rs, err)
		})
	}
}
