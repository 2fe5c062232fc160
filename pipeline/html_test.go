package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
)

var htmlAbout = About{Name: "glibc-livepatches", Version: "1.4", Package: "glibc", Time: time.Unix(1_780_000_000, 0)}

func passedRow(patch, nevra, soname string, id elfinfo.BuildID) Row {
	return Row{
		Patch: patch, NEVRA: nevra, Soname: soname, BuildID: id, Result: Passed, Seconds: 0.8, Group: "A",
		StoppedMicroseconds: 1234, StoppedMedianMicroseconds: 87,
		Rounds: []Round{{87, 1234}}, Hammer: &Hammer{Threads: 2, Before: 10, During: 20, Patched: 30, After: 40},
	}
}

// htmlReport has each state, two libraries, and texts that want to be more than
// texts.
func htmlReport() *Report {
	const libc, libm = "libc.so.6", "libm.so.6"
	failed := failedRow("malloc", "glibc-2.31-150300.9.1.x86_64", &TestError{
		Step: StepPatched, Round: 2, Seen: `"plain" ×4, "<b>bold</b>" ×1`, Err: errors.New("unexpected answer \"</script><script>alert(1)</script>\""),
	})
	failed.Step, failed.Soname, failed.BuildID, failed.Group = StepPatched, libc, "ffee000000000000000000000000000000000000", "B"
	failed.Log = "   0.100 s  build: done\n   0.200 s  start, round 0: done; seen so far: \"plain\" ×2\n" +
		"<img src=x onerror=alert(1)>\x1b[31m\u202e" + strings.Repeat("long", 200) + "\n</pre></article><style>*{display:none}</style>\n"
	hostile := failedRow("exp", `x"><script>alert(2)</script>-1-1.noarch`, errors.New("container: {{.}} <svg onload=alert(3)>"))
	hostile.Soname, hostile.BuildID, hostile.Step = libm, "0123", StepBuild
	skipped := passedRow("malloc", "glibc-2.38-1.x86_64", libc, "22334455")
	skipped.Result, skipped.Reason, skipped.Hammer, skipped.StoppedMicroseconds = Skipped, "no test.c", nil, 0
	apart := passedRow("malloc", "glibc-2.40-1.x86_64", libc, "33445566")
	apart.Result, apart.Reason, apart.Group = NotConcerned, "versions: < 2.40", ""
	calm := passedRow("exp", "glibc-2.38-1.x86_64", libm, "99887766")
	calm.Hammer = nil
	return &Report{Rows: []Row{
		calm, hostile,
		passedRow("malloc", "glibc-2.26-13.x86_64", libc, "0011223344556677889900112233445566778899"),
		failed, skipped, apart,
	}}
}

func writeHTML(t *testing.T, r *Report) (string, []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := r.WriteHTML(file, htmlAbout); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, data
}

func TestHTMLInBrowser(t *testing.T) {
	t.Parallel()
	file, data := writeHTML(t, htmlReport())
	if _, again := writeHTML(t, htmlReport()); string(again) != string(data) {
		t.Error("equal rows give different pages")
	}
	b := newBrowser(t)
	b.size(1280, 900)
	b.media("screen", "light")
	b.open(file)
	lines := b.text("tbody tr")
	want := []string{
		"glibc-2.38-1.x86_64 libm.so.6 · 99887766 passed 87 µs / 1.2 ms · not hammered · group A – another library",
		`x"><script>alert(2)</script>-1-1.noarch libm.so.6 · 0123 failed : the log build – another library`,
		"glibc-2.26-13.x86_64 libc.so.6 · 00112233 – another library passed 87 µs / 1.2 ms · group A",
		"glibc-2.31-150300.9.1.x86_64 libc.so.6 · ffee0000 – another library failed : the log patched · group B",
		"glibc-2.38-1.x86_64 libc.so.6 · 22334455 – another library skipped no test.c · group A",
		"glibc-2.40-1.x86_64 libc.so.6 · 33445566 – another library not concerned versions: < 2.40",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	head := []string{"Build", "exp 2 builds, 1 group: 1 passed, 1 failed",
		"malloc 4 builds, 2 groups: 1 passed, 1 not concerned, 1 skipped, 1 failed"}
	if diff := cmp.Diff(head, b.text("thead th")); diff != "" {
		t.Error(diff)
	}
	if got := b.text("#verdict"); len(got) != 1 || got[0] != "2 of 5 tests failed" {
		t.Errorf("verdict %q", got)
	}
	t.Run("logs", func(t *testing.T) { b.t = t; browseLogs(t, b) })
	t.Run("filter", func(t *testing.T) { b.t = t; browseFilter(t, b, want) })
	t.Run("sizes", func(t *testing.T) { b.t = t; browseSizes(t, b) })
	b.t = t
	b.quiet(file)
}

// browseLogs clicks on each failure: its log is there then, as text.
func browseLogs(t *testing.T, b *browser) {
	for i, want := range []string{"", `<img src=x onerror=alert(1)>`} {
		cell := fmt.Sprintf("td.failed a[href='#failure-%d']", i+1)
		b.click(cell)
		article := fmt.Sprintf("#failure-%d:target", i+1)
		if got := b.text(article + " h4"); len(got) != 1 {
			t.Errorf("a click on %s shows %q", cell, got)
		}
		if log := strings.Join(b.text(article+" pre"), ""); !strings.Contains(log, want) || (want == "") != (log == "") {
			t.Errorf("log %q, want %q", log, want)
		}
		var inView bool
		b.eval(`(() => { const r = document.querySelector("article:target").getBoundingClientRect();
			return r.top >= 0 && r.top < innerHeight; })()`, &inView)
		if !inView {
			t.Errorf("%s is out of view", article)
		}
	}
	kinds := []string{"exp: 1 of 1 build", "malloc on group B: 1 of 1 build"}
	if diff := cmp.Diff(kinds, b.text("main > h3")); diff != "" {
		t.Error(diff)
	}
	b.shot("log")
	for _, element := range []string{"script", "img", "svg", "article b", "body style", "iframe"} {
		var got int
		if b.eval(fmt.Sprintf("document.querySelectorAll(%q).length", element), &got); got != 0 {
			t.Errorf("%d elements %s", got, element)
		}
	}
}

// browseFilter uses the check box by mouse and by keyboard.
func browseFilter(t *testing.T, b *browser, all []string) {
	b.click("label[for=only]")
	if diff := cmp.Diff([]string{all[1], all[3]}, b.text("tbody tr")); diff != "" {
		t.Error(diff)
	}
	b.shot("failures-only")
	b.eval(`(document.querySelector("#only").focus(), 0)`, new(int))
	b.key(" ", 32)
	if diff := cmp.Diff(all, b.text("tbody tr")); diff != "" {
		t.Error(diff)
	}
}

// browseSizes looks at the page at several widths, dark and printed.
func browseSizes(t *testing.T, b *browser) {
	b.eval("(scrollTo(0, 0), 0)", new(int))
	for _, width := range []int{1280, 400} {
		for _, scheme := range []string{"light", "dark"} {
			b.size(width, 900)
			b.media("screen", scheme)
			fits(t, b, fmt.Sprintf("%s at %d", scheme, width))
			b.shot(fmt.Sprintf("%s-%d", scheme, width))
			readable(t, b, fmt.Sprintf("%s at %d", scheme, width))
		}
	}
	b.size(760, 1000)
	b.media("print", "light")
	fits(t, b, "printed")
	if got := b.text("label"); len(got) > 0 {
		t.Errorf("the filter is printed: %q", got)
	}
	b.shot("print")
}

// fits checks that nothing sticks out of the page sideways; a table too wide
// scrolls in a frame of its own.
func fits(t *testing.T, b *browser, when string) {
	t.Helper()
	var out []string
	b.eval(`[...document.querySelectorAll("body, body *")].filter(e => {
		const r = e.getBoundingClientRect();
		return !e.closest("table, .far") && (r.right > document.documentElement.clientWidth + 0.5 || r.left < -0.5);
	}).map(e => e.outerHTML.slice(0, 200))`, &out)
	for _, e := range out {
		t.Errorf("%s: sticks out: %s", when, e)
	}
	var scrolls bool
	b.eval("document.documentElement.scrollWidth > document.documentElement.clientWidth", &scrolls)
	if scrolls {
		t.Errorf("%s: the page scrolls sideways", when)
	}
}

// readable checks the contrast of each text with what is behind it: at least
// 4.5 to 1 (WCAG 2, 1.4.3).
func readable(t *testing.T, b *browser, when string) {
	t.Helper()
	var poor []string
	b.eval(`(() => {
		const rgba = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length == 3 ? [...n, 1] : n; };
		const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
			return .2126 * r + .7152 * g + .0722 * b; };
		const behind = e => { for (; e; e = e.parentElement) {
			const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] == 1) return c; } return [255, 255, 255]; };
		const poor = new Set();
		for (const e of document.querySelectorAll("body *")) {
			if (![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
			const a = light(rgba(getComputedStyle(e).color)), z = light(behind(e));
			const ratio = (Math.max(a, z) + .05) / (Math.min(a, z) + .05);
			if (ratio < 4.5) poor.add(e.localName + "." + e.className + " " + ratio.toFixed(2));
		}
		return [...poor];
	})()`, &poor)
	for _, p := range poor {
		t.Errorf("%s: hard to read: %s", when, p)
	}
}

func TestHTMLFigures(t *testing.T) {
	t.Parallel()
	for us, want := range map[int64]string{0: "0 µs", 999: "999 µs", 1000: "1.0 ms", 132_449: "132.4 ms", 2_500_000: "2.5 s"} {
		if got := htmlStop(us); got != want {
			t.Errorf("%d µs is %q, want %q", us, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 9999: "9999", 88_412: "88 k", 17_500_000: "17 M"} {
		if got := htmlCount(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// TestHTMLOfManyBuilds: a thousand builds of ten live patches.
func TestHTMLOfManyBuilds(t *testing.T) {
	t.Parallel()
	r := &Report{}
	for p := range 10 {
		for n := range 1000 {
			row := passedRow(fmt.Sprintf("CVE-2026-%d", 1000+p), fmt.Sprintf("glibc-2.%d-150300.%d.1.x86_64", n/50, n), "libc.so.6",
				elfinfo.BuildID(fmt.Sprintf("%040x", n*7919)))
			if (n+p)%97 == 0 {
				row.fail(errors.New("unexpected answer"))
				row.Step, row.Log = StepPatched, strings.Repeat("a line of the log\n", 200)
			}
			r.Rows = append(r.Rows, row)
		}
	}
	file, data := writeHTML(t, r)
	b := newBrowser(t)
	b.size(1280, 900)
	took := b.open(file)
	t.Logf("%d bytes, loaded after %s", len(data), took)
	if len(data) > 4<<20 {
		t.Errorf("%d bytes", len(data))
	}
	var got struct{ Cells, Failures, Head int }
	b.eval(`(() => {
		const m = document.querySelector(".matrix");
		m.scrollTop = m.scrollHeight;
		return {cells: document.querySelectorAll("td").length, failures: document.querySelectorAll("article").length,
			head: Math.round(document.querySelector("thead th").getBoundingClientRect().top - m.getBoundingClientRect().top)};
	})()`, &got)
	if got.Cells != 10000 || got.Failures == 0 || got.Head < 0 || got.Head > 2 {
		t.Errorf("%+v: the heads of the columns do not stay", got)
	}
	b.eval("(document.querySelector('.matrix').scrollIntoView(), 0)", new(int))
	b.shot("many")
	fits(t, b, "many")
	b.size(760, 1000)
	b.media("print", "light")
	fits(t, b, "many, printed")
	var wide bool
	if b.eval(`document.querySelector("table").getBoundingClientRect().right > document.documentElement.clientWidth`, &wide); wide {
		t.Error("the printed table is cut off")
	}
	b.shot("many-print")
	b.quiet(file)
}
