package pipeline

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commented finds the ready-made repositories of the scaffold: each begins with
// its name.
var (
	commented = regexp.MustCompile(`(?m)^#  - name: .*\n(?:#    .*\n)+`)
	comment   = regexp.MustCompile(`(?m)^#`)
)

func projectFile(t *testing.T, opts InitOptions) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "p")
	if _, err := Init(dir, opts); err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// Every ready-made repository is one when the comment signs are taken away, one
// at a time and all together.
func TestReadyMadeRepositories(t *testing.T) {
	t.Parallel()
	src := projectFile(t, InitOptions{})
	blocks := commented.FindAllString(src, -1)
	products := make(map[string][]Repository)
	for _, block := range blocks {
		c, err := ParseConfig(ConfigFile, []byte(strings.Replace(src, block, comment.ReplaceAllString(block, ""), 1)))
		if err != nil || len(c.Repositories) != 1 || len(c.Repositories[0].Keys) == 0 {
			t.Errorf("%s: %v", block, err)
			continue
		}
		r := c.Repositories[0]
		products[r.Product] = append(products[r.Product], r)
		if !strings.Contains(block, "https://") {
			t.Errorf("%s: not https", r.Name)
		}
	}
	for _, want := range []string{"leap-15.6", "tumbleweed", "sle-15.6", "openeuler-24.03", "fedora-42", "centos-stream-9", "almalinux-9", "rocky-9", "rhel-9"} {
		ships, debugs := 0, 0
		for _, r := range products[want] {
			if strings.HasSuffix(r.Name, "-debug") {
				debugs++
			} else {
				ships++
			}
		}
		if ships == 0 || debugs == 0 {
			t.Errorf("%s: %d repositories of builds, %d of debug symbols", want, ships, debugs)
		}
	}
	whole := commented.ReplaceAllStringFunc(src, func(block string) string { return comment.ReplaceAllString(block, "") })
	c, err := ParseConfig(ConfigFile, []byte(whole))
	if err != nil || len(c.Repositories) != len(blocks) {
		t.Errorf("all together: %v", err)
	}
}

// The ready-made ones can be added to those that init was given.
func TestReadyMadeBesideOwn(t *testing.T) {
	t.Parallel()
	src := projectFile(t, InitOptions{Repositories: []Repository{{Name: "own", URL: "https://example.org/"}}})
	block := commented.FindString(src)
	c, err := ParseConfig(ConfigFile, []byte(strings.Replace(src, block, comment.ReplaceAllString(block, ""), 1)))
	if err != nil || len(c.Repositories) != 2 || c.Repositories[0].Name != "own" {
		t.Errorf("%+v, %v", c, err)
	}
}
