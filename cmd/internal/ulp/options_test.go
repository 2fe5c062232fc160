package ulp

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	defaults := options{retries: 1, timeout: 200 * time.Second}
	for line, change := range map[string]func(*options){
		"trigger -p 12 a.so":                       func(o *options) { o.process, o.args = "12", []string{"a.so"} },
		"-p12 trigger a.so":                        func(o *options) { o.process, o.args = "12", []string{"a.so"} },
		"trigger a.so --process=num*":              func(o *options) { o.process, o.args = "num*", []string{"a.so"} },
		"trigger a.so --proc num*":                 func(o *options) { o.process, o.args = "num*", []string{"a.so"} },
		"trigger -vcr5 a.so":                       func(o *options) { o.beVerbose, o.checkStack, o.retries, o.args = true, true, 5, []string{"a.so"} },
		"trigger --revert a.so":                    func(o *options) { o.revert, o.args = true, []string{"a.so"} },
		"trigger --revert-all=/x/lib.so.1":         func(o *options) { o.revertAll, o.args = "lib.so.1", []string{} },
		"trigger --revert-a target a.so":           func(o *options) { o.revertAll, o.args = "target", []string{"a.so"} },
		"trigger --timeout 7 -q -- -a.so":          func(o *options) { o.timeout, o.beQuiet, o.args = 7*time.Second, true, []string{"-a.so"} },
		"trigger -R /root --recursive *.so":        func(o *options) { o.root, o.recursive, o.args = "/root", true, []string{"*.so"} },
		"trigger --disable-su --disable-se a.so":   func(o *options) { o.noSummary, o.noSeccomp, o.args = true, true, []string{"a.so"} },
		"trigger --disable-threading --color=no x": func(o *options) { o.noThreads, o.color, o.args = true, "no", []string{"x"} },
	} {
		want := defaults
		want.command = "trigger"
		change(&want)
		got, err := parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                                  "Too few arguments.",
		"trigger":                           "Too few arguments.",
		"check":                             "Too few arguments.",
		"patches x":                         "Too many arguments.",
		"trigger a b":                       "Too many arguments.",
		"trigger a.so --disable":            "option '--disable' is ambiguous",
		"trigger a.so --nonsense":           "unrecognized option '--nonsense'",
		"trigger a.so -x":                   "invalid option -- 'x'",
		"trigger a.so -p":                   "option requires an argument -- 'p'",
		"trigger a.so --process":            "option '--process' requires an argument",
		"trigger a.so --revert=x":           "option '--revert' doesn't allow an argument",
		"trigger a.so -r 0":                 "The argument to '-r' must be greater than zero; got 0.",
		"trigger a.so -r x":                 "The argument to '-r' must be greater than zero; got 0.",
		"trigger a.so --timeout=x":          "--timeout value must be a non-negative integer",
		"trigger a.so -qv":                  "You must specify either '-v' or '-q' or none.",
		"trigger --revert --revert-all=x y": "--revert and --revert-all can not be used together.",
		"set_patchable":                     "passing 'enable' or 'disable' in ARG1 is mandatory in set_patches.",
		"livepatchable":                     "file is mandatory in 'livepatchable' command.",
	} {
		if _, err := parse(strings.Fields(line)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func TestCalled(t *testing.T) {
	for _, args := range [][]string{{"/usr/bin/ulp", "patches"}, {"ulp", "patches"}, {"lpctl", "ulp", "patches"}} {
		if got, ok := Called(args); !ok || !cmp.Equal(got, []string{"patches"}) {
			t.Errorf("%q: %q, %v", args, got, ok)
		}
	}
	if _, ok := Called([]string{"lpctl", "status", "ulp"}); ok {
		t.Error("lpctl status is taken for ulp")
	}
}

func TestExitStatus(t *testing.T) {
	for codes, want := range map[code]int{none: 0, eUnknown: 1, eNotApplied: 16, eNoMeta: 13, eSysAgain: 11, eNotApplied | eNoMeta: 29} {
		if got := exitStatus(codes); got != want {
			t.Errorf("%d: exit status %d, want %d", codes, got, want)
		}
	}
}
