package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const bareConfig = "name: a\nversion: 1\npackage: zlib\nlibraries: [/lib64/libz.so.1]\nrepositories:\n"

func TestParseRepositoryErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, src string
		line      int
		contains  string
	}{
		{name: "nothing", src: "- name: a", line: 6, contains: "without url, mirrorlist or metalink"},
		{name: "two addresses", src: "- url: a\n  mirrorlist: b", line: 6, contains: "more than one"},
		{name: "user", src: "- name: sle ga\n  url: https://me:hush@example.org/", line: 7, contains: "LPBUILD_REPO_SLE_GA_USER"},
		{name: "user alone", src: "- metalink: https://hush@example.org/", line: 6, contains: "netrc"},
		{name: "token", src: "- name: sle\n  url: https://example.org/x?hush", line: 7, contains: "LPBUILD_REPO_SLE_QUERY"},
		{name: "scheme", src: "- mirrorlist: ftp://example.org/", line: 6, contains: "not http, https or file"},
		{name: "no host", src: "- url: https:///x", line: 6, contains: "no host"},
		{name: "repomd.xml itself", src: "- url: https://example.org/x/repodata/repomd.xml", line: 6, contains: "the folder above"},
		{name: "bad URL", src: "- url: https://[hush", line: 6, contains: "not a URL"},
		{name: "priority", src: "- url: a\n  priority: -1", line: 7, contains: "priority"},
		{name: "name with an escape", src: `- url: a` + "\n" + `  name: "a\e[2J"`, line: 7, contains: "control characters"},
		{name: "unsigned over http", src: "- url: http://example.org/\n  unsigned_metadata: true", line: 7, contains: "only over https"},
		{name: "same name", src: "- {name: a-b, url: a}\n- {name: A_B, url: b}", line: 7, contains: "share their credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseConfig("f", []byte(bareConfig+tt.src+"\n"))
			var mistake *ConfigError
			if !errors.As(err, &mistake) || mistake.Line != tt.line || !strings.Contains(mistake.Text, tt.contains) {
				t.Errorf("%v, want line %d: %s", err, tt.line, tt.contains)
			}
			if strings.Contains(strings.ToLower(fmt.Sprint(err)), "hush") {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

func TestParseRepositoryDefaults(t *testing.T) {
	t.Parallel()
	c, err := ParseConfig("f", []byte(bareConfig+"- metalink: https://example.org/m?repo=a&arch=b\n- {name: ga, product: p, mirrorlist: list, priority: 1, ca: c, unsigned_metadata: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Repository{
		{Name: "https://example.org/m?repo=a&arch=b", Product: "https://example.org/m?repo=a&arch=b", Metalink: "https://example.org/m?repo=a&arch=b", Priority: 99},
		{Name: "ga", Product: "p", Mirrorlist: "list", Priority: 1, CA: "c", UnsignedMetadata: true},
	}
	if fmt.Sprint(c.Repositories) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", c.Repositories, want)
	}
}
