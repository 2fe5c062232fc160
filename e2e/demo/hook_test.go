package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseReports(t *testing.T) {
	t.Parallel()
	const head = "<30>Nov 22 06:00:00 rpm-helper[7]: "
	tests := []struct {
		name string
		line string
		want *report // nil: an error
	}{
		{
			name: "applied",
			line: head + `msg="pid 8: APPLIED" package=glibc-livepatches scriptlet=post command=malloc0 library=libc.so.6 build_id=b503 reason="" stopped=240.5µs` + "\n",
			want: &report{8, "APPLIED", "glibc-livepatches", "post", "malloc0", `""`, 240500 * time.Nanosecond},
		},
		{
			name: "a reason with anything in it",
			line: head + `msg="pid 9: NO-PATCH-FOR-BUILD" package=a scriptlet=posttrans command="a \"b\" reason=x" library=l build_id=1 reason="no \"patch\" stopped=5s" stopped=0s`,
			want: &report{9, "NO-PATCH-FOR-BUILD", "a", "posttrans", `"a \"b\" reason=x"`, `"no \"patch\" stopped=5s"`, 0},
		},
		{name: "an error", line: head + `msg="nothing applied" package=a scriptlet=post`},
		{name: "another program", line: "<30>Nov 22 06:00:00 cron[1]: hello"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseReports([]string{tt.line})
			if tt.want == nil {
				if err == nil {
					t.Errorf("accepted as %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]report{*tt.want}, got, cmp.AllowUnexported(report{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseSummaries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []summary
		bad        bool
	}{
		{name: "nothing", text: "\n"},
		{
			name: "two packages",
			text: "glibc-livepatches 0.2: 12 processes: 11 REPLACED, 1 BUSY\nlibgreet-livepatches 0.2: 1 process: 1 REPLACED\n",
			want: []summary{
				{"glibc-livepatches", "0.2", 12, map[string]int{"REPLACED": 11, "BUSY": 1}},
				{"libgreet-livepatches", "0.2", 1, map[string]int{"REPLACED": 1}},
			},
		},
		{name: "an error in it", text: "glibc-livepatches 0.2: 1 process: 1 APPLIED: not finished within 1m0s\n", bad: true},
		{name: "a warning of rpm", text: "warning: x\n", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSummaries(tt.text)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(summary{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
