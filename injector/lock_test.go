package injector

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestStrangersLocks: whoever may not trace a process can't keep injectors away
// from it by locks on what everybody may open.
func TestStrangersLocks(t *testing.T) {
	const nobody = 65534
	f := newFixture(t, "stock")
	tg := f.start(t, 0, 1)
	const script = `for f in /proc/%d/*; do [ -f $f ] && exec {fd}<$f && flock -n -x $fd && echo $f; done 2>/dev/null; echo done; read`
	cmd := exec.Command("bash", "-c", fmt.Sprintf(script, tg.pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	var locked []string
	for s := bufio.NewScanner(out); s.Scan() && s.Text() != "done"; {
		locked = append(locked, s.Text())
	}
	if !strings.Contains(strings.Join(locked, " "), "/stat ") {
		t.Fatalf("locked only %v", locked)
	}
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{f.container(t, 2, "answer", "second")})
	result(t, Applied, rs, err)
	tg.expect(old, v2)
}
