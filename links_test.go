package lpbuild_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	goFile  = regexp.MustCompile("`((?:[a-z0-9]+/)*[a-z0-9][a-z0-9_]*\\.go)`")
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinksOfDocuments: every relative link in a document leads to a file that is there, and to a heading of it.
func TestLinksOfDocuments(t *testing.T) {
	checked := 0
	for _, name := range documents(t) {
		text := prose(t, name)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", name, m[0], err)
			} else if anchor != "" && !slices.Contains(anchors(prose(t, target)), anchor) {
				t.Errorf("%s: %s: %s has no such heading", name, m[0], target)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links", checked)
	}
}

// TestSourcesThatDocumentsName: each source file that a document names is there, in the folder named if one is.
func TestSourcesThatDocumentsName(t *testing.T) {
	sources := files(t, ".go")
	checked := 0
	for _, name := range documents(t) {
		for _, m := range goFile.FindAllStringSubmatch(prose(t, name), -1) {
			checked++
			if !slices.ContainsFunc(sources, func(s string) bool { return strings.HasSuffix("/"+filepath.ToSlash(s), "/"+m[1]) }) {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d files", checked)
	}
}

// documents are the Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	return files(t, ".md")
}

// files are those of the repository that end so, but for what programs made.
func files(t *testing.T, ext string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && slices.Contains([]string{".git", "build", "bin"}, name) {
			return fs.SkipDir
		}
		if filepath.Ext(name) == ext {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// prose is the text of a document without its code blocks.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(text), "")
}

// anchors are the names under which GitHub shows the headings of a document.
func anchors(text string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		title := link.ReplaceAllString(m[1], "]")
		names = append(names, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(title), ""), " ", "-"))
	}
	return names
}
