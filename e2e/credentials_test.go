package e2e

import (
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A repository behind TLS and a password is opened, and neither the terminal
// with -v nor any file has the password afterwards, in whatever form.
func TestCredentialsAreNowhere(t *testing.T) {
	const user, password = "operator", "Tr0ub4dor&3 %+/="
	l := newLab(t)
	files := http.FileServer(http.Dir(l.repo))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	key := l.dir + "/vendor.asc"
	writeFile(t, key, string(readFile(t, l.key())))
	l.serveFrom(server.URL, key)
	l.patch(goodTemplate, goodSource)
	l.overwriteProject(func(src []byte) []byte {
		return []byte(strings.Replace(string(src), "    keys:", "    ca: ca.pem\n    keys:", 1))
	})
	writeFile(t, l.project+"/ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))

	forms := []string{password, url.QueryEscape(password), url.PathEscape(password), "Tr0ub4dor",
		base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	for _, tt := range []struct {
		name, password string
		code           int
		args           []string
	}{
		{"wrong password", password + "x", 1, []string{"-v", "download"}},
		{"right password", password, 0, []string{"-v", "download", "--rate", "1G", "--connections", "2"}},
		{"JSON", password, 0, []string{"-v", "--json", "download"}},
		{"new builds", password, 0, []string{"-v", "versions", "--new"}},
	} {
		p := l.start(func(c *exec.Cmd) {
			c.Env = append(c.Env, "LPBUILD_REPO_REPOSITORY1_USER="+user, "LPBUILD_REPO_REPOSITORY1_PASSWORD="+tt.password)
		}, "lpbuild", tt.args...)
		p.wait()
		output := p.stdout.String() + p.stderr.String()
		if p.code != tt.code || !strings.Contains(output, server.URL) {
			t.Fatalf("%s: exit code %d, want %d\n%s", tt.name, p.code, tt.code, output)
		}
		for _, form := range forms {
			if strings.Contains(output, form) {
				t.Errorf("%s: the output shows %q:\n%s", tt.name, form, output)
			}
		}
	}
	for _, dir := range []string{l.project, l.cache, l.tmp} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(name)
			for _, form := range forms {
				if strings.Contains(string(data), form) {
					t.Errorf("%s has %q", name, form)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
