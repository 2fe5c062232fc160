package pipeline

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A browser is a headless Chromium with one page, spoken to by the DevTools
// protocol over two pipes (--remote-debugging-pipe): messages of JSON that end
// with a null byte.
type browser struct {
	t       *testing.T
	ctx     context.Context
	to      io.Writer
	session string

	mu      sync.Mutex
	id      int
	replies map[int]chan browserMessage
	loaded  chan struct{}
	// complaints are console messages and log entries, fetched the URLs that the
	// page asked for.
	complaints, fetched []string
}

type browserMessage struct {
	ID      int             `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// newBrowser starts a browser that ends with the test.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	name, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	home := browserHome(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	fromUs, to := pipe(t)
	from, toUs := pipe(t)
	// As root there is no sandbox; the page is ours.
	cmd := exec.CommandContext(ctx, name, "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--hide-scrollbars=false", "--user-data-dir="+home, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home)
	cmd.ExtraFiles = []*os.File{fromUs, toUs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fromUs.Close()
	toUs.Close()
	b := &browser{t: t, ctx: ctx, to: to, replies: map[int]chan browserMessage{}, loaded: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() { b.read(from); close(read) }()
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		from.Close() // should a child that escaped hold the other end
		<-read
	})
	var target struct{ TargetID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

// browserHome is a folder for all that the browser writes. Its children are
// killed with it, but nobody waits for their ends: what one still writes while
// the folder is removed is removed as well.
func browserHome(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lpbuild-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(30 * time.Second); ; {
			if err := os.RemoveAll(dir); err == nil {
				return
			} else if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	return dir
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// read takes the browser's messages until it has ended.
func (b *browser) read(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		data, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m browserMessage
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			return
		}
		b.mu.Lock()
		reply := b.replies[m.ID]
		delete(b.replies, m.ID)
		b.note(m)
		b.mu.Unlock()
		if reply != nil {
			reply <- m
		}
	}
}

// note keeps what an event says.
func (b *browser) note(m browserMessage) {
	switch m.Method {
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
		b.complaints = append(b.complaints, string(m.Params))
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		if json.Unmarshal(m.Params, &p) == nil {
			b.fetched = append(b.fetched, p.Request.URL)
		}
	case "Page.loadEventFired":
		select {
		case b.loaded <- struct{}{}:
		default:
		}
	}
}

// do sends a command and waits for its result.
func (b *browser) do(method string, params map[string]any, result any) {
	b.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	data, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	reply := make(chan browserMessage, 1)
	b.mu.Lock()
	b.id++
	m := browserMessage{ID: b.id, Method: method, Params: data, Session: b.session}
	b.replies[b.id] = reply
	b.mu.Unlock()
	if data, err = json.Marshal(m); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(data, 0)); err != nil {
		b.t.Fatal(err)
	}
	select {
	case m = <-reply:
	case <-b.ctx.Done():
		b.t.Fatalf("%s: %v", method, context.Cause(b.ctx))
	}
	if m.Error != nil {
		b.t.Fatalf("%s: %s", method, m.Error)
	}
	if result != nil {
		if err := json.Unmarshal(m.Result, result); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
	}
}

// open goes to a file and returns how long it took until it was loaded.
func (b *browser) open(file string) time.Duration {
	b.t.Helper()
	select {
	case <-b.loaded: // of about:blank
	default:
	}
	began := time.Now()
	b.do("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	select {
	case <-b.loaded:
	case <-b.ctx.Done():
		b.t.Fatal(context.Cause(b.ctx))
	}
	return time.Since(began)
}

// size gives the page a width and a height in CSS pixels.
func (b *browser) size(width, height int) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
	}, nil)
}

// media is as if for a medium, "screen" or "print", and light or dark.
func (b *browser) media(medium, scheme string) {
	b.t.Helper()
	b.do("Emulation.setEmulatedMedia", map[string]any{
		"media": medium, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// eval is the value of a JavaScript expression in the page.
func (b *browser) eval(expression string, result any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if err := json.Unmarshal(r.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v: %s", expression, err, r.Result.Value)
	}
}

// text is the text of the elements that a selector selects, as it is shown.
func (b *browser) text(selector string) []string {
	b.t.Helper()
	var texts []string
	b.eval(fmt.Sprintf("[...document.querySelectorAll(%q)].filter(e => e.checkVisibility()).map(e => e.innerText)", selector), &texts)
	for i, s := range texts {
		texts[i] = strings.Join(strings.Fields(s), " ")
	}
	return texts
}

// click scrolls to an element and clicks in its middle with the mouse.
func (b *browser) click(selector string) {
	b.t.Helper()
	var at struct{ X, Y float64 }
	b.eval(fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({block: "center", inline: "center"});
		const r = e.getBoundingClientRect();
		return {x: r.x + r.width / 2, y: r.y + r.height / 2};
	})()`, selector), &at)
	for _, what := range []string{"mousePressed", "mouseReleased"} {
		b.do("Input.dispatchMouseEvent", map[string]any{"type": what, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// key presses a key with the focus where it is.
func (b *browser) key(name string, code int) {
	b.t.Helper()
	for _, what := range []string{"rawKeyDown", "keyUp"} {
		b.do("Input.dispatchKeyEvent", map[string]any{"type": what, "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
	}
}

// shot keeps a picture of the page where LPBUILD_SCREENSHOTS names a folder.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("LPBUILD_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.do("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// quiet checks that the page complained of nothing and asked for nothing but
// itself.
func (b *browser) quiet(file string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("console: %s", c)
	}
	others := slices.DeleteFunc(slices.Clone(b.fetched), func(url string) bool {
		own, _, _ := strings.Cut(url, "#")
		return own == "file://"+file
	})
	if len(b.fetched) == 0 || len(others) > 0 {
		b.t.Errorf("fetched %q", b.fetched)
	}
}
